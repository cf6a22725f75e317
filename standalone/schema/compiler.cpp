#include "standalone/schema/compiler.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include <re2/re2.h>

#include "standalone/schema/node.hpp"
#include "standalone/schema/pool.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::size_t kMaxPatternLength = 4096;
constexpr std::size_t kMaxNodes = 200000;

Error invalid(const std::string& where, std::string_view what) {
  return Error(Code::InvalidArgument, "Invalid", (where.empty() ? std::string("schema") : where) + ": " + std::string(what));
}

const Json* get(const Json& o, const char* name) {
  auto it = o.find(name);
  return it == o.end() ? nullptr : &*it;
}

bool flag(const Json& o, const char* name) {
  const Json* v = get(o, name);
  return v && v->is_boolean() && v->get<bool>();
}

std::string text(const Json& o, const char* name) {
  const Json* v = get(o, name);
  return v && v->is_string() ? v->get<std::string>() : std::string();
}

Format format_of(const std::string& f) {
  static const std::unordered_map<std::string_view, Format> formats{
      {"int32", Format::Int32}, {"date-time", Format::DateTime}, {"datetime", Format::DateTime}, {"date", Format::Date},
      {"duration", Format::Duration}, {"ipv4", Format::Ipv4}, {"ipv6", Format::Ipv6}, {"ip", Format::Ip},
      {"cidr", Format::Cidr}, {"mac", Format::Mac}, {"uuid", Format::Uuid}, {"uuid3", Format::Uuid},
      {"uuid4", Format::Uuid}, {"uuid5", Format::Uuid}, {"byte", Format::Byte}, {"hostname", Format::Hostname},
      {"email", Format::Email}, {"uri", Format::Uri}, {"quantity", Format::Quantity}};
  auto it = formats.find(f);
  return it == formats.end() ? Format::None : it->second;
}

}  // namespace

/// One compilation: appends to the pool of a Validator.
struct Compiler {
  Validator::Pool& pool;
  const CompileOptions& options;
  std::vector<std::string>& warnings;
  std::unordered_map<std::string, Node*> references;
  struct PendingDefault {
    const Node* node;
    std::string where;
  };
  std::vector<PendingDefault> pending;
  bool lenient = false;
  bool cel = false;

  enum class Place { Normal, Root, Junctor };

  Result<const Node*> node(const Json& s, const std::string& where, int depth, Place place);
  Result<void> fill(Node& n, const Json& s, const std::string& where, int depth, Place place);
  Result<void> fill_type(Node& n, const Json& s, const std::string& where, Place place);
  Result<void> fill_object(Node& n, const Json& s, const std::string& where, int depth, Place place);
  Result<void> fill_list(Node& n, const Json& s, const std::string& where, int depth, Place place);
  Result<void> fill_constraints(Node& n, const Json& s, const std::string& where, int depth);
  Result<void> add_resource_members(Node& n, const Json& s, const std::string& where, int depth);
  Result<void> check_forbidden(const Json& s, const std::string& where, Place place);
  Result<void> check_defaults();

  static Result<std::shared_ptr<const Validator>> run(const Json& schema, const CompileOptions& options);
};

Result<const Node*> Compiler::node(const Json& s, const std::string& where, int depth, Place place) {
  if (depth > kMaxDepth) return invalid(where, "the schema is nested too deeply");
  if (!s.is_object()) return invalid(where, "must be an object");
  if (pool.nodes.size() > kMaxNodes) return invalid(where, "the schema is too large");
  if (const Json* ref = get(s, "$ref")) {
    if (!options.resolve || !ref->is_string()) return invalid(where + ".$ref", "Forbidden: $ref is not allowed");
    std::string name = ref->get<std::string>();
    // A reference with merge keys beside it is a node of its own; a bare one is shared.
    bool bare = s.size() == 1 || (s.size() == 2 && s.contains("description"));
    if (bare) {
      auto it = references.find(name);
      if (it != references.end()) return static_cast<const Node*>(it->second);
    }
    const Json* target = options.resolve(name);
    if (!target) return invalid(where + ".$ref", "there is no definition " + name);
    Node* n = pool.add();
    if (bare) references.emplace(name, n);
    Json merged;
    if (!bare) {
      merged = *target;
      for (auto& [k, v] : s.items())
        if (k != "$ref") merged[k] = v;
      target = &merged;
    }
    NV_TRY_VOID(fill(*n, *target, where, depth, place));
    return static_cast<const Node*>(n);
  }
  Node fresh;
  NV_TRY_VOID(fill(fresh, s, where, depth, place));
  const Node* n = pool.share(std::move(fresh));
  if (n->default_value && place != Place::Junctor) pending.push_back({n, where});
  return n;
}

Result<void> Compiler::fill(Node& n, const Json& s, const std::string& where, int depth, Place place) {
  if (!lenient) NV_TRY_VOID(check_forbidden(s, where, place));
  n.lenient = lenient;
  NV_TRY_VOID(fill_type(n, s, where, place));
  n.nullable = flag(s, "nullable");
  n.preserve_unknown = flag(s, "x-kubernetes-preserve-unknown-fields");
  n.resource = place == Place::Root ? options.resource : flag(s, "x-kubernetes-embedded-resource");
  n.atomic_map = text(s, "x-kubernetes-map-type") == "atomic";
  n.format = format_of(text(s, "format"));
  n.patch_merge_key = pool.intern(text(s, "x-kubernetes-patch-merge-key"));
  std::string strategy = text(s, "x-kubernetes-patch-strategy");
  n.patch_merge = strategy.find("merge") != std::string::npos;
  n.patch_replace = strategy.find("replace") != std::string::npos;
  n.patch_retain_keys = strategy.find("retainKeys") != std::string::npos;
  if (get(s, "x-kubernetes-validations")) cel = true;
  if (const Json* d = get(s, "default"); d && !(d->is_null() && !n.nullable)) {
    n.default_value = pool.keep(*d);
    n.has_defaults = true;
  }
  NV_TRY_VOID(fill_object(n, s, where, depth, place));
  NV_TRY_VOID(fill_list(n, s, where, depth, place));
  NV_TRY_VOID(fill_constraints(n, s, where, depth));
  if (n.resource) NV_TRY_VOID(add_resource_members(n, s, where, depth));
  for (const auto& m : n.members) n.has_defaults = n.has_defaults || m.node->has_defaults;
  if (n.items) n.has_defaults = n.has_defaults || n.items->has_defaults;
  if (n.additional) n.has_defaults = n.has_defaults || n.additional->has_defaults;
  return {};
}

Result<void> Compiler::check_forbidden(const Json& s, const std::string& where, Place place) {
  for (const char* name : {"definitions", "dependencies", "id", "patternProperties", "additionalItems", "$schema"})
    if (get(s, name)) return invalid(where + "." + name, "Forbidden: not allowed in a structural schema");
  if (flag(s, "uniqueItems"))
    return invalid(where + ".uniqueItems", "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
  if (place == Place::Junctor)
    for (const char* name : {"default", "additionalProperties", "nullable", "x-kubernetes-preserve-unknown-fields",
                             "x-kubernetes-embedded-resource", "x-kubernetes-list-type", "x-kubernetes-map-type"})
      if (get(s, name)) return invalid(where + "." + name, "Forbidden: must not be set inside allOf, anyOf, oneOf or not");
  const Json* properties = get(s, "properties");
  const Json* additional = get(s, "additionalProperties");
  if (properties && properties->is_object() && !properties->empty() && additional &&
      !(additional->is_boolean() && !additional->get<bool>()))
    return invalid(where + ".additionalProperties", "Forbidden: additionalProperties and properties are mutual exclusive");
  if (additional && additional->is_boolean() && !additional->get<bool>())
    return invalid(where + ".additionalProperties", "Forbidden: additionalProperties cannot be set to false");
  if (const Json* p = get(s, "x-kubernetes-preserve-unknown-fields"); p && !(p->is_boolean() && p->get<bool>()))
    return invalid(where + ".x-kubernetes-preserve-unknown-fields", "Invalid value: false: must be true or undefined");
  if (place == Place::Root && flag(s, "x-kubernetes-embedded-resource"))
    return invalid(where + ".x-kubernetes-embedded-resource", "Forbidden: must not be used at the root");
  if (flag(s, "x-kubernetes-embedded-resource") && text(s, "type") != "object")
    return invalid(where + ".type", "Invalid value: must be object if x-kubernetes-embedded-resource is true");
  return {};
}

Result<void> Compiler::fill_type(Node& n, const Json& s, const std::string& where, Place place) {
  const bool int_or_string = flag(s, "x-kubernetes-int-or-string") || text(s, "format") == "int-or-string";
  const Json* t = get(s, "type");
  if (t && !t->is_string()) return invalid(where + ".type", "Invalid value: must be a string");
  std::string type = t ? t->get<std::string>() : "";
  if (int_or_string) {
    if (!type.empty() && !lenient)
      return invalid(where + ".type", "Forbidden: must be empty if x-kubernetes-int-or-string is true");
    n.type = Type::IntOrString;
    return {};
  }
  if (type == "object") n.type = Type::Object;
  else if (type == "array") n.type = Type::Array;
  else if (type == "string") n.type = Type::String;
  else if (type == "integer") n.type = Type::Integer;
  else if (type == "number") n.type = Type::Number;
  else if (type == "boolean") n.type = Type::Boolean;
  else if (!type.empty())
    return invalid(where + ".type", "Unsupported value: \"" + type + "\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"");
  if (type.empty() && !lenient && place != Place::Junctor && !flag(s, "x-kubernetes-preserve-unknown-fields"))
    return invalid(where + ".type", "Required value: must not be empty for specified object fields");
  if (place == Place::Root && n.type != Type::Object && !lenient)
    return invalid(where + ".type", "Invalid value: must be object at the root");
  return {};
}

Result<void> Compiler::fill_object(Node& n, const Json& s, const std::string& where, int depth, Place place) {
  const Place inner = place == Place::Junctor ? Place::Junctor : Place::Normal;
  if (const Json* properties = get(s, "properties")) {
    if (!properties->is_object()) return invalid(where + ".properties", "must be an object");
    n.members.reserve(properties->size());
    for (auto& [name, sub] : properties->items()) {
      NV_TRY(const Node* child, node(sub, where.empty() ? "properties[" + name + "]" : where + ".properties[" + name + "]",
                                     depth + 1, inner));
      n.members.push_back({pool.intern(name), child});
    }
    std::sort(n.members.begin(), n.members.end(), [](auto& a, auto& b) { return a.name < b.name; });
  }
  if (const Json* additional = get(s, "additionalProperties")) {
    if (additional->is_boolean()) {
      n.any_member = additional->get<bool>();
    } else {
      NV_TRY(n.additional, node(*additional, where + ".additionalProperties", depth + 1, inner));
    }
  }
  // Built-in kinds publish more than they insist on.
  if (const Json* required = get(s, lenient ? "x-nodevirt-required" : "required"); required && !required->is_null()) {
    if (!required->is_array()) return invalid(where + ".required", "must be an array");
    for (const Json& r : *required) {
      if (!r.is_string()) return invalid(where + ".required", "must be an array of strings");
      n.required.push_back(pool.intern(r.get_ref<const std::string&>()));
    }
  }
  return {};
}

Result<void> Compiler::fill_list(Node& n, const Json& s, const std::string& where, int depth, Place place) {
  if (const Json* items = get(s, "items")) {
    if (items->is_array()) return invalid(where + ".items", "Forbidden: items must be a schema object and not an array");
    NV_TRY(n.items, node(*items, where + ".items", depth + 1, place == Place::Junctor ? Place::Junctor : Place::Normal));
  } else if (n.type == Type::Array && !lenient && place != Place::Junctor) {
    return invalid(where + ".items", "Required value: must be specified");
  }
  std::string list_type = text(s, "x-kubernetes-list-type");
  if (list_type.empty()) return {};
  if (n.type != Type::Array) return invalid(where + ".type", "Invalid value: must be array if x-kubernetes-list-type is specified");
  if (list_type == "set") n.list_type = ListType::Set;
  else if (list_type == "map") n.list_type = ListType::Map;
  else if (list_type != "atomic")
    return invalid(where + ".x-kubernetes-list-type", "Unsupported value: \"" + list_type + "\": supported values: \"atomic\", \"map\", \"set\"");
  const Json* keys = get(s, "x-kubernetes-list-map-keys");
  if (n.list_type != ListType::Map) {
    if (keys && !keys->empty()) return invalid(where + ".x-kubernetes-list-map-keys", "Forbidden: only with x-kubernetes-list-type map");
    return {};
  }
  if (!keys || !keys->is_array() || keys->empty())
    return invalid(where + ".x-kubernetes-list-map-keys", "Required value: must be set if x-kubernetes-list-type is map");
  for (const Json& k : *keys) {
    if (!k.is_string()) return invalid(where + ".x-kubernetes-list-map-keys", "must be an array of strings");
    n.list_map_keys.push_back(pool.intern(k.get_ref<const std::string&>()));
    if (lenient) continue;
    const Node* key = n.items ? n.items->member(n.list_map_keys.back()) : nullptr;
    if (!key) return invalid(where + ".x-kubernetes-list-map-keys", "Invalid value: " + k.dump() + ": keys must be properties of the items");
    if (key->type == Type::Object || key->type == Type::Array)
      return invalid(where + ".x-kubernetes-list-map-keys", "Invalid value: " + k.dump() + ": keys must be scalars");
    const auto& required = n.items->required;
    if (!key->default_value && std::find(required.begin(), required.end(), n.list_map_keys.back()) == required.end())
      return invalid(where + ".x-kubernetes-list-map-keys", "Required value: " + k.dump() + " must be required or have a default");
  }
  return {};
}

Result<void> Compiler::fill_constraints(Node& n, const Json& s, const std::string& where, int depth) {
  Constraints c;
  bool any = false;
  auto number = [&](const char* name, double& out) {
    const Json* v = get(s, name);
    if (!v || !v->is_number()) return false;
    out = v->get<double>();
    return any = true;
  };
  auto count = [&](const char* name, std::int64_t& out) {
    const Json* v = get(s, name);
    if (!v || !v->is_number_integer()) return;
    out = v->is_number_unsigned() ? std::int64_t(std::min<std::uint64_t>(v->get<std::uint64_t>(), INT64_MAX))
                                  : v->get<std::int64_t>();
    any = true;
  };
  c.has_minimum = number("minimum", c.minimum);
  c.has_maximum = number("maximum", c.maximum);
  number("multipleOf", c.multiple_of);
  c.exclusive_minimum = flag(s, "exclusiveMinimum");
  c.exclusive_maximum = flag(s, "exclusiveMaximum");
  count("minLength", c.min_length);
  count("maxLength", c.max_length);
  count("minItems", c.min_items);
  count("maxItems", c.max_items);
  count("minProperties", c.min_properties);
  count("maxProperties", c.max_properties);
  if (const Json* e = get(s, "enum"); e && !e->is_null()) {
    if (!e->is_array() || e->empty()) return invalid(where + ".enum", "must be a non-empty array");
    c.enumeration.assign(e->begin(), e->end());
    any = true;
  }
  if (const std::string p = text(s, "pattern"); !p.empty()) {
    if (p.size() > kMaxPatternLength) return invalid(where + ".pattern", "Too long: may not be more than 4096 bytes");
    NV_TRY(c.pattern, pool.pattern(p, where));
    c.pattern_text = p;
    any = true;
  }
  // What int-or-string says already is not said again.
  const bool skip_any_of = n.type == Type::IntOrString;
  for (auto [name, list] : {std::pair{"allOf", &c.all_of}, {"anyOf", &c.any_of}, {"oneOf", &c.one_of}}) {
    const Json* v = get(s, name);
    if (!v || v->is_null() || (skip_any_of && list == &c.any_of)) continue;
    if (!v->is_array()) return invalid(where + "." + name, "must be an array");
    for (std::size_t i = 0; i < v->size(); ++i) {
      NV_TRY(const Node* sub, node((*v)[i], where + "." + name + "[" + std::to_string(i) + "]", depth + 1, Place::Junctor));
      list->push_back(sub);
      any = true;
    }
  }
  if (const Json* v = get(s, "not"); v && !v->is_null()) {
    NV_TRY(c.negated, node(*v, where + ".not", depth + 1, Place::Junctor));
    any = true;
  }
  if (any) n.constraints = std::make_unique<const Constraints>(std::move(c));
  return {};
}

Result<void> Compiler::add_resource_members(Node& n, const Json& s, const std::string& where, int depth) {
  auto put = [&](std::string_view name, const Node* child) {
    auto at = std::lower_bound(n.members.begin(), n.members.end(), name,
                               [](const Node::Member& m, std::string_view x) { return m.name < x; });
    if (at != n.members.end() && at->name == name) at->node = child;
    else n.members.insert(at, {pool.intern(name), child});
  };
  Node string;
  string.type = Type::String;
  const Node* plain = pool.share(std::move(string));
  put("apiVersion", plain);
  put("kind", plain);
  // What a CRD may say about metadata are limits on its name.
  Json meta = object_meta_schema();
  if (const Json* own = find(s, {"properties", "metadata", "properties"}); own && own->is_object())
    for (const char* name : {"name", "generateName"})
      if (const Json* limits = get(*own, name); limits && limits->is_object())
        for (auto& [k, v] : limits->items()) meta["properties"][name][k] = v;
  const bool before = std::exchange(lenient, true);  // metadata is typed, also in custom resources
  auto metadata = node(meta, where + ".metadata", depth + 1, Place::Normal);
  lenient = before;
  if (!metadata) return std::move(metadata).error();
  put("metadata", *metadata);
  return {};
}

Result<void> Compiler::check_defaults() {
  for (const auto& p : pending) {
    Json copy = *p.node->default_value;
    std::vector<FieldError> errors;
    validate_node(*p.node, copy, nullptr, errors);
    if (!errors.empty()) return invalid(p.where + ".default", errors.front().path.empty() ? errors.front().message : to_string(errors.front()));
  }
  return {};
}

Result<std::shared_ptr<const Validator>> Compiler::run(const Json& schema, const CompileOptions& options) {
  auto v = std::shared_ptr<Validator>(new Validator);
  Compiler c{*v->pool_, options, v->warnings_, {}, {}, options.lenient, false};
  NV_TRY(const Node* root, c.node(schema, "", 0, Place::Root));
  if (!options.lenient) NV_TRY_VOID(c.check_defaults());
  v->root_ = root;
  if (c.cel)
    v->warnings_.push_back("x-kubernetes-validations: the rules are stored and published, but not evaluated by this server");
  v->pool_->finish();
  return std::shared_ptr<const Validator>(std::move(v));
}

Result<std::shared_ptr<const Validator>> compile_schema(const Json& schema, const CompileOptions& options) {
  return Compiler::run(schema, options);
}

Result<std::shared_ptr<const Validator>> Validator::compile(const Json& schema) { return compile_schema(schema, {}); }

}  // namespace nodevirt::schema
