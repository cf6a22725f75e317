#include "standalone/apiserver/wire/protobuf.hpp"

#include <charconv>
#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "pkg/base/clock.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/service_resolver.hpp"
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

namespace {

constexpr int kMaxDepth = 64;

struct Field {
  std::string_view name, type;
};
using Message = std::unordered_map<std::uint32_t, Field>;

/// The lines of a message; nullptr when the table has none.
const Message* message(std::string_view name) {
  static const auto* blocks = [] {
    auto* all = new std::unordered_map<std::string_view, std::string_view>;
    for (std::size_t i = 0; i < kFieldsCount; ++i) {
      auto text = *kFields[i];
      while (!text.empty()) {
        auto next = std::min(text.find('#', 1), text.size());
        auto line = text.find('\n');
        (*all)[text.substr(1, line - 1)] = text.substr(line + 1, next - line - 1);
        text.remove_prefix(next);
      }
    }
    return all;
  }();
  static auto* parsed = new std::unordered_map<std::string_view, Message>;   // one thread: the server's
  auto block = blocks->find(name);
  if (block == blocks->end()) return nullptr;
  auto [it, fresh] = parsed->try_emplace(block->first);
  if (fresh) {
    auto text = block->second;
    while (!text.empty()) {
      auto end = std::min(text.find('\n'), text.size());
      auto line = text.substr(0, end);
      auto s1 = line.find(' '), s2 = line.find(' ', s1 + 1);
      std::uint32_t number = 0;
      std::from_chars(line.data(), line.data() + s1, number);
      it->second[number] = {line.substr(s1 + 1, s2 - s1 - 1), line.substr(s2 + 1)};
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  return &it->second;
}

/// One field after the other; `ok` turns false on malformed input.
struct Reader {
  std::string_view in;
  bool ok = true;
  std::uint32_t number = 0;
  unsigned wire = 0;
  std::uint64_t value = 0;       ///< varint or fixed
  std::string_view bytes;        ///< length-delimited

  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (in.empty()) { ok = false; return 0; }
      auto b = static_cast<unsigned char>(in.front());
      in.remove_prefix(1);
      v |= std::uint64_t(b & 0x7f) << shift;
      if (!(b & 0x80)) return v;
    }
    ok = false;
    return 0;
  }

  bool next() {
    if (!ok || in.empty()) return false;
    auto tag = varint();
    number = std::uint32_t(tag >> 3);
    wire = unsigned(tag & 7);
    if (!ok || number == 0) { ok = false; return false; }
    if (wire == 0) {
      value = varint();
    } else if (wire == 1 || wire == 5) {
      std::size_t n = wire == 1 ? 8 : 4;
      if (in.size() < n) { ok = false; return false; }
      value = 0;
      std::memcpy(&value, in.data(), n);
      in.remove_prefix(n);
    } else if (wire == 2) {
      auto n = varint();
      if (!ok || n > in.size()) { ok = false; return false; }
      bytes = in.substr(0, std::size_t(n));
      in.remove_prefix(std::size_t(n));
    } else {
      ok = false;
    }
    return ok;
  }
};

Json decode_message(std::string_view name, std::string_view bytes, int depth, bool& ok);

/// Types with a JSON form of their own.
Json decode_special(std::string_view type, std::string_view bytes, bool& ok) {
  Reader r{bytes};
  if (type == "Time" || type == "MicroTime") {
    std::int64_t seconds = 0, nanos = 0;
    while (r.next()) (r.number == 1 ? seconds : nanos) = std::int64_t(r.value);
    ok &= r.ok;
    if (bytes.empty() || seconds < -62135596800 || seconds > 253402300799) return nullptr;
    if (nanos < 0 || nanos > 999999999) nanos = 0;
    if (seconds < 0) return nullptr;
    Clock::WallTime t{std::chrono::seconds(seconds) + std::chrono::microseconds(nanos / 1000)};
    return type == "Time" ? format_time(t) : format_micro_time(t);
  }
  if (type == "IntOrString") {
    std::uint64_t kind = 0, number = 0;
    std::string text;
    while (r.next()) {
      if (r.number == 1) kind = r.value;
      if (r.number == 2) number = r.value;
      if (r.number == 3) text = r.bytes;
    }
    ok &= r.ok;
    return kind == 1 ? Json(text) : Json(std::int32_t(number));
  }
  if (type == "Items") {
    Json list = Json::array();
    while (r.next()) if (r.number == 1) list.push_back(std::string(r.bytes));
    ok &= r.ok;
    return list;
  }
  std::string_view first;
  while (r.next()) if (r.number == 1 && r.wire == 2) first = r.bytes;
  ok &= r.ok;
  if (type == "Quantity") return std::string(first);
  // Raw and Fields hold JSON.
  auto json = parse_json(first);
  if (!json.ok()) { ok = ok && first.empty(); return nullptr; }
  return std::move(*json);
}

/// `type` without modifiers.
Json decode_value(std::string_view type, const Reader& r, int depth, bool& ok) {
  switch (type.front()) {
    case 's': ok &= r.wire == 2; return ok ? Json(std::string(r.bytes)) : Json();
    case 'y': ok &= r.wire == 2; return ok ? Json(base64_encode(r.bytes)) : Json();
    case 'i': ok &= r.wire == 0; return std::int64_t(r.value);
    case 'b': ok &= r.wire == 0; return r.value != 0;
    case 'd': {
      ok &= r.wire == 1;
      double d = 0;
      std::memcpy(&d, &r.value, sizeof d);
      return d;
    }
    case '@': ok &= r.wire == 2; return ok ? decode_special(type.substr(1), r.bytes, ok) : Json();
    case '=': ok &= r.wire == 2; return ok ? decode_message(type.substr(1), r.bytes, depth + 1, ok) : Json();
    default: ok = false; return nullptr;
  }
}

bool is_zero(const Json& v) {
  return v.is_null() || (v.is_string() && v.get_ref<const std::string&>().empty()) || (v.is_number_integer() && v == 0) ||
         (v.is_boolean() && v == false) || (v.is_number_float() && v == 0.0) || (v.is_structured() && v.empty());
}

void put_map_entry(Json& into, std::string_view type, std::string_view bytes, int depth, bool& ok) {
  Reader r{bytes};
  std::string key;
  Json value;
  bool repeated = type.front() == '+';
  auto inner = repeated ? type.substr(1) : type;
  while (r.next()) {
    if (r.number == 1) key = r.bytes;
    if (r.number == 2) value = decode_value(inner, r, depth, ok);
  }
  ok &= r.ok;
  if (value.is_null()) value = inner == "s" || inner == "y" || inner == "@Quantity" ? Json("") : inner == "@Items" ? Json::array() : Json::object();
  into[key] = std::move(value);
}

Json decode_message(std::string_view name, std::string_view bytes, int depth, bool& ok) {
  Json out = Json::object();
  const auto* fields = message(name);
  if (!fields || depth > kMaxDepth) { ok = false; return out; }
  Reader r{bytes};
  while (ok && r.next()) {
    auto it = fields->find(r.number);
    if (it == fields->end()) continue;
    auto type = it->second.type;
    std::string key(it->second.name);
    bool optional = type.front() == '*';
    if (optional) type.remove_prefix(1);
    if (type.front() == '+') {
      type.remove_prefix(1);
      auto& list = out[key];
      if (!list.is_array()) list = Json::array();
      if (type == "i" && r.wire == 2) {   // packed
        Reader packed{r.bytes};
        while (packed.ok && !packed.in.empty()) {
          auto v = packed.varint();
          if (packed.ok) list.push_back(std::int64_t(v));
        }
        ok &= packed.ok;
      } else {
        list.push_back(decode_value(type, r, depth, ok));
      }
    } else if (type.front() == '%') {
      ok &= r.wire == 2;
      if (ok) put_map_entry(out[key], type.substr(1), r.bytes, depth, ok);
    } else {
      Json value = decode_value(type, r, depth, ok);
      if (key == "~") {
        if (value.is_object()) out.update(value);
      } else if (optional ? !value.is_null() : !is_zero(value)) {
        out[key] = std::move(value);
      }
    }
  }
  ok &= r.ok;
  return out;
}

constexpr std::pair<std::string_view, std::string_view> kPackages[] = {
    {"v1", "core"}, {"rbac.authorization.k8s.io/v1", "rbac"}, {"policy/v1", "policy"}, {"authentication.k8s.io/v1", "authn"},
    {"authorization.k8s.io/v1", "authz"}, {"coordination.k8s.io/v1", "coord"}, {"discovery.k8s.io/v1", "disc"}, {"events.k8s.io/v1", "events"},
    {"scheduling.k8s.io/v1", "sched"}, {"storage.k8s.io/v1", "storage"}, {"apps/v1", "apps"}, {"admissionregistration.k8s.io/v1", "adm"},
    {"autoscaling/v1", "auto"}};

}  // namespace

Result<Json> decode_protobuf(std::string_view body) {
  using namespace std::string_view_literals;
  auto malformed = bad_request("the body is no valid protobuf message");
  if (!body.starts_with("k8s\0"sv)) return malformed;
  Reader r{body.substr(4)};
  std::string_view type_meta, raw;
  while (r.next()) {
    if (r.wire != 2) continue;
    if (r.number == 1) type_meta = r.bytes;
    if (r.number == 2) raw = r.bytes;
  }
  if (!r.ok) return malformed;
  std::string api_version, kind;
  Reader t{type_meta};
  while (t.next()) {
    if (t.number == 1) api_version = t.bytes;
    if (t.number == 2) kind = t.bytes;
  }
  if (!t.ok) return malformed;
  std::string name;
  if (kind == "DeleteOptions") name = "meta.DeleteOptions";
  for (const auto& [version, package] : kPackages)
    if (name.empty() && version == api_version) name = fmt::format("{}.{}", package, kind);
  if (name.empty() || !message(name))
    return unsupported_media_type(fmt::format("{} of {} is not accepted as protobuf; send JSON or YAML", kind, api_version));
  bool ok = true;
  Json out = decode_message(name, raw, 0, ok);
  if (!ok) return malformed;
  out["apiVersion"] = api_version;
  out["kind"] = kind;
  // Strings that are no UTF-8 must not get any further.
  return parse_json(dump_json(out));
}

}  // namespace nodevirt::apiserver::wire
