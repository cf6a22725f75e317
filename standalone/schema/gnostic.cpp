#include "standalone/schema/gnostic.hpp"

#include <bit>

namespace nodevirt::schema {

namespace {

/// One protobuf message being written.
class Message {
 public:
  void text(int field, const std::string& value) {
    if (value.empty()) return;
    tag(field, 2);
    varint(value.size());
    out_ += value;
  }
  void message(int field, const Message& value) {
    tag(field, 2);
    varint(value.out_.size());
    out_ += value.out_;
  }
  void integer(int field, std::int64_t value) {
    if (!value) return;
    tag(field, 0);
    varint(std::uint64_t(value));
  }
  void boolean(int field, bool value) { integer(field, value); }
  void number(int field, double value) {
    if (value == 0) return;
    tag(field, 1);
    auto bits = std::bit_cast<std::uint64_t>(value);
    for (int i = 0; i < 8; ++i) out_ += char((bits >> (8 * i)) & 255);
  }
  std::string take() { return std::move(out_); }

 private:
  void tag(int field, int wire) { varint(std::uint64_t(field) << 3 | std::uint64_t(wire)); }
  void varint(std::uint64_t v) {
    for (; v >= 128; v >>= 7) out_ += char((v & 127) | 128);
    out_ += char(v);
  }
  std::string out_;
};

std::string text_of(const Json& o, const char* name) { return string_at(o, {name}); }

Message any(const Json& value) {
  Message m;
  m.text(2, dump_json(value) + "\n");  // YAML, of which JSON is a part
  return m;
}

void extensions(Message& m, int field, const Json& o) {
  for (auto& [name, value] : o.items()) {
    if (!name.starts_with("x-")) continue;
    Message named;
    named.text(1, name);
    named.message(2, any(value));
    m.message(field, named);
  }
}

Message schema(const Json& s);

Message named_schema(const std::string& name, const Json& s) {
  Message m;
  m.text(1, name);
  m.message(2, schema(s));
  return m;
}

Message schema(const Json& s) {
  Message m;
  m.text(1, text_of(s, "$ref"));
  m.text(2, text_of(s, "format"));
  m.text(3, text_of(s, "title"));
  m.text(4, text_of(s, "description"));
  if (auto d = s.find("default"); d != s.end()) m.message(5, any(*d));
  auto number = [&](int field, const char* name) {
    if (auto n = s.find(name); n != s.end() && n->is_number()) m.number(field, n->get<double>());
  };
  auto count = [&](int field, const char* name) { m.integer(field, int_at(s, {name})); };
  number(6, "multipleOf");
  number(7, "maximum");
  m.boolean(8, bool_at(s, {"exclusiveMaximum"}));
  number(9, "minimum");
  m.boolean(10, bool_at(s, {"exclusiveMinimum"}));
  count(11, "maxLength");
  count(12, "minLength");
  m.text(13, text_of(s, "pattern"));
  count(14, "maxItems");
  count(15, "minItems");
  count(17, "maxProperties");
  count(18, "minProperties");
  if (auto r = s.find("required"); r != s.end() && r->is_array())
    for (const Json& name : *r)
      if (name.is_string()) m.text(19, name.get<std::string>());
  if (auto e = s.find("enum"); e != s.end() && e->is_array())
    for (const Json& v : *e) m.message(20, any(v));
  if (auto a = s.find("additionalProperties"); a != s.end()) {
    Message item;
    if (a->is_object()) item.message(1, schema(*a));
    else if (a->is_boolean()) item.boolean(2, a->get<bool>());
    m.message(21, item);
  }
  if (auto t = text_of(s, "type"); !t.empty()) {
    Message type;
    type.text(1, t);
    m.message(22, type);
  }
  if (auto i = s.find("items"); i != s.end() && i->is_object()) {
    Message items;
    items.message(1, schema(*i));
    m.message(23, items);
  }
  if (auto p = s.find("properties"); p != s.end() && p->is_object()) {
    Message properties;
    for (auto& [name, sub] : p->items()) properties.message(1, named_schema(name, sub));
    m.message(25, properties);
  }
  extensions(m, 31, s);
  return m;
}

Message parameter(const Json& p) {
  Message item, choice;
  const std::string in = text_of(p, "in");
  if (in == "body") {
    Message body;
    body.text(1, text_of(p, "description"));
    body.text(2, text_of(p, "name"));
    body.text(3, in);
    body.boolean(4, bool_at(p, {"required"}));
    if (auto s = p.find("schema"); s != p.end()) body.message(5, schema(*s));
    choice.message(1, body);
  } else {
    const bool query = in == "query";
    Message sub, other;
    sub.boolean(1, bool_at(p, {"required"}));
    sub.text(2, in);
    sub.text(3, text_of(p, "description"));
    sub.text(4, text_of(p, "name"));
    sub.text(query ? 6 : 5, text_of(p, "type"));
    other.message(query ? 3 : 4, sub);
    choice.message(2, other);
  }
  item.message(1, choice);
  return item;
}

Message operation(const Json& op) {
  Message m;
  m.text(5, text_of(op, "operationId"));
  m.text(6, "application/json");
  if (auto ps = op.find("parameters"); ps != op.end())
    for (const Json& p : *ps) m.message(8, parameter(p));
  Message responses;
  if (auto rs = op.find("responses"); rs != op.end())
    for (auto& [code, r] : rs->items()) {
      Message named, value, response;
      response.text(1, text_of(r, "description"));
      if (auto s = r.find("schema"); s != r.end()) {
        Message item;
        item.message(1, schema(*s));
        response.message(2, item);
      }
      value.message(1, response);
      named.text(1, code);
      named.message(2, value);
      responses.message(1, named);
    }
  m.message(9, responses);
  extensions(m, 13, op);
  return m;
}

Message path_item(const Json& item) {
  Message m;
  static constexpr std::pair<const char*, int> methods[] = {{"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}};
  for (auto [name, field] : methods)
    if (auto op = item.find(name); op != item.end()) m.message(field, operation(*op));
  if (auto ps = item.find("parameters"); ps != item.end())
    for (const Json& p : *ps) m.message(9, parameter(p));
  return m;
}

}  // namespace

std::string encode_openapi_v2(const Json& document) {
  Message m, info, paths, definitions;
  m.text(1, text_of(document, "swagger"));
  info.text(1, string_at(document, {"info", "title"}));
  info.text(2, string_at(document, {"info", "version"}));
  m.message(2, info);
  if (const Json* all = find(document, {"paths"}))
    for (auto& [path, item] : all->items()) {
      Message named;
      named.text(1, path);
      named.message(2, path_item(item));
      paths.message(2, named);
    }
  m.message(8, paths);
  if (const Json* all = find(document, {"definitions"}))
    for (auto& [name, s] : all->items()) definitions.message(1, named_schema(name, s));
  m.message(9, definitions);
  return m.take();
}

}  // namespace nodevirt::schema
