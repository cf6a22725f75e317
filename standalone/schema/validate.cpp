#include <cmath>
#include <unordered_set>

#include <fmt/format.h>
#include <re2/re2.h>

#include "api/quantity.hpp"
#include "standalone/schema/pool.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::size_t kMaxErrors = 100;

bool is_integral(const Json& v) {
  if (v.is_number_integer()) return true;
  if (!v.is_number_float()) return false;
  const double d = v.get<double>();
  return std::isfinite(d) && std::trunc(d) == d;
}

std::string_view wanted(Type t) {
  switch (t) {
    case Type::Object: return "object";
    case Type::Array: return "array";
    case Type::String: return "string";
    case Type::Integer: return "integer";
    case Type::Number: return "number";
    case Type::Boolean: return "boolean";
    case Type::IntOrString: return "integer,string";
    default: return "any";
  }
}

bool has_type(const Node& n, const Json& v) {
  switch (n.type) {
    case Type::Object: return v.is_object();
    case Type::Array: return v.is_array();
    case Type::String: return v.is_string() || (n.format == Format::Quantity && v.is_number());
    case Type::Integer: return is_integral(v);
    case Type::Number: return v.is_number();
    case Type::Boolean: return v.is_boolean();
    case Type::IntOrString: return v.is_string() || is_integral(v);
    default: return true;
  }
}

std::string_view format_name(Format f) {
  static constexpr std::string_view names[] = {"", "int32", "date-time", "date", "duration", "ipv4", "ipv6", "ip", "cidr",
                                               "mac", "uuid", "byte", "hostname", "email", "uri", "quantity"};
  return names[std::size_t(f)];
}

std::size_t rune_count(std::string_view s) {
  std::size_t n = 0;
  for (unsigned char c : s) n += (c & 0xC0) != 0x80;
  return n;
}

struct Walker {
  std::vector<FieldError>& errors;

  bool full() const { return errors.size() >= kMaxErrors; }
  void add(const Path& path, const char* type, std::string message) {
    if (!full()) errors.push_back({path.text(), type, std::move(message)});
  }
  void invalid(const Path& path, const Json& value, std::string what) {
    add(path, "FieldValueInvalid", "Invalid value: " + quoted(value) + ": " + std::move(what));
  }

  static std::string in_body(const Path& path) {
    std::string name = path.text();
    return name.empty() ? "" : name + " in body ";
  }

  void walk(const Node& n, const Json& v, const Json* old, const Path& path, int depth) {
    if (full()) return;
    if (depth > kMaxDepth) return add(path, "FieldValueInvalid", "Invalid value: nested too deeply");
    if (old && *old == v) return;
    if (v.is_null()) {
      if (n.nullable || n.lenient || n.type == Type::Any) return;
      return type_error(n, v, path);
    }
    if (!has_type(n, v)) return type_error(n, v, path);
    if (v.is_object()) object(n, v, old, path, depth);
    else if (v.is_array()) array(n, v, old, path, depth);
    else if (v.is_string()) string(n, v, path);
    else if (v.is_number()) number(n, v, path);
    if (n.constraints) constraints(n, *n.constraints, v, path, depth);
  }

  void type_error(const Node& n, const Json& v, const Path& path) {
    add(path, "FieldValueTypeInvalid",
        fmt::format("Invalid value: \"{}\": {}must be of type {}: \"{}\"", type_name(v), in_body(path), wanted(n.type), type_name(v)));
  }

  void object(const Node& n, const Json& v, const Json* old, const Path& path, int depth) {
    for (std::string_view name : n.required) {
      auto it = v.find(name);
      if (it == v.end() || (it->is_null() && n.lenient) ||
          (n.lenient && it->is_string() && it->get_ref<const std::string&>().empty()))
        add(Path{&path, name, -1}, "FieldValueRequired", "Required value");
    }
    for (auto it = v.begin(); it != v.end(); ++it) {
      const Node* m = n.member(it.key());
      if (!m) continue;
      const Json* before = nullptr;
      if (old && old->is_object())
        if (auto o = old->find(it.key()); o != old->end()) before = &*o;
      Path at{&path, it.key(), -1};
      walk(*m, *it, before, at, depth + 1);
    }
  }

  void array(const Node& n, const Json& v, const Json* old, const Path& path, int depth) {
    if (n.list_type != ListType::Atomic) unique(n, v, path);
    if (!n.items) return;
    for (std::size_t i = 0; i < v.size() && !full(); ++i) {
      Path at{&path, {}, std::int64_t(i)};
      walk(*n.items, v[i], counterpart(n, v[i], i, old), at, depth + 1);
    }
  }

  /// The element of the old list that this one continues.
  static const Json* counterpart(const Node& n, const Json& e, std::size_t i, const Json* old) {
    if (!old || !old->is_array() || old->size() > 1000) return nullptr;
    if (n.list_type == ListType::Map) {
      const std::string key = canonical_key(n, e);
      for (const Json& o : *old)
        if (canonical_key(n, o) == key) return &o;
      return nullptr;
    }
    return i < old->size() ? &(*old)[i] : nullptr;
  }

  void unique(const Node& n, const Json& v, const Path& path) {
    std::unordered_set<std::string> seen;
    for (std::size_t i = 0; i < v.size(); ++i) {
      std::string key = canonical_key(n, v[i]);
      if (seen.count(key)) {
        Path at{&path, {}, std::int64_t(i)};
        add(at, "FieldValueDuplicate", "Duplicate value: " + (key.size() > 512 ? key.substr(0, 512) + "..." : key));
      } else {
        seen.insert(std::move(key));
      }
    }
  }

  void string(const Node& n, const Json& v, const Path& path) {
    const auto& s = v.get_ref<const std::string&>();
    if (n.format == Format::None || n.format == Format::Int32 || (n.lenient && s.empty())) return;
    if (n.format == Format::Quantity) {
      if (!api::Quantity::parse(s))
        invalid(path, v, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
      return;
    }
    if (!matches_format(n.format, s))
      invalid(path, v, fmt::format("{}must be of type {}: {}", in_body(path), format_name(n.format), quoted(v)));
  }

  void number(const Node& n, const Json& v, const Path& path) {
    const bool bounded = n.type == Type::IntOrString || n.format == Format::Int32;
    if (!bounded) return;
    const double d = v.get<double>();
    if (d < -2147483648.0 || d > 2147483647.0) invalid(path, v, in_body(path) + "must be of type int32: " + quoted(v));
  }

  void constraints(const Node& n, const Constraints& c, const Json& v, const Path& path, int depth) {
    if (!c.enumeration.empty()) enumeration(n, c, v, path);
    if (v.is_string()) string_limits(c, v, path);
    else if (v.is_number()) number_limits(c, v, path);
    else if (v.is_array())
      counts(v, std::int64_t(v.size()), c.min_items, c.max_items, "items", path);
    else if (v.is_object())
      counts(v, std::int64_t(v.size()), c.min_properties, c.max_properties, "properties", path);
    junctors(c, v, path, depth);
  }

  void enumeration(const Node& n, const Constraints& c, const Json& v, const Path& path) {
    if (n.lenient && v.is_string() && v.get_ref<const std::string&>().empty()) return;
    for (const Json& e : c.enumeration)
      if (e == v) return;
    std::vector<std::string> values;
    for (const Json& e : c.enumeration) values.push_back(quoted(e));
    std::sort(values.begin(), values.end());
    add(path, "FieldValueNotSupported", fmt::format("Unsupported value: {}: supported values: {}", quoted(v), fmt::join(values, ", ")));
  }

  void string_limits(const Constraints& c, const Json& v, const Path& path) {
    const auto& s = v.get_ref<const std::string&>();
    if (c.min_length >= 0 || c.max_length >= 0) {
      const auto n = std::int64_t(rune_count(s));
      if (c.max_length >= 0 && n > c.max_length)
        return add(path, "FieldValueTooLong", fmt::format("Too long: may not be more than {} bytes", c.max_length));
      if (n < c.min_length)
        return invalid(path, v, fmt::format("{}should be at least {} chars long", in_body(path), c.min_length));
    }
    if (c.pattern && !re2::RE2::PartialMatch(s, *c.pattern))
      invalid(path, v, fmt::format("{}should match '{}'", in_body(path), c.pattern_text));
  }

  void number_limits(const Constraints& c, const Json& v, const Path& path) {
    const double d = v.get<double>();
    if (c.has_minimum && (d < c.minimum || (c.exclusive_minimum && d == c.minimum)))
      invalid(path, v, fmt::format("{}should be greater than {}{}", in_body(path), c.exclusive_minimum ? "" : "or equal to ", c.minimum));
    if (c.has_maximum && (d > c.maximum || (c.exclusive_maximum && d == c.maximum)))
      invalid(path, v, fmt::format("{}should be less than {}{}", in_body(path), c.exclusive_maximum ? "" : "or equal to ", c.maximum));
    if (c.multiple_of > 0) {
      const double q = d / c.multiple_of;
      if (std::abs(q - std::round(q)) > 1e-9 * std::max(1.0, std::abs(q)))
        invalid(path, v, fmt::format("{}should be a multiple of {}", in_body(path), c.multiple_of));
    }
  }

  void counts(const Json&, std::int64_t n, std::int64_t min, std::int64_t max, const char* what, const Path& path) {
    if (max >= 0 && n > max)
      add(path, "FieldValueTooMany", fmt::format("Too many: {}: must have at most {} items", n, max));
    if (n < min)
      add(path, "FieldValueInvalid", fmt::format("Invalid value: {}: {}should have at least {} {}", n, in_body(path), min, what));
  }

  bool matches(const Node& n, const Json& v, const Path& path, int depth) {
    std::vector<FieldError> inner;
    Walker w{inner};
    w.walk(n, v, nullptr, path, depth + 1);
    return inner.empty();
  }

  void junctors(const Constraints& c, const Json& v, const Path& path, int depth) {
    for (const Node* n : c.all_of) walk(*n, v, nullptr, path, depth + 1);
    if (!c.any_of.empty()) {
      bool some = false;
      for (const Node* n : c.any_of)
        if ((some = matches(*n, v, path, depth))) break;
      if (!some) invalid(path, v, fmt::format("\"{}\" must validate at least one schema (anyOf)", path.text()));
    }
    if (!c.one_of.empty()) {
      int found = 0;
      for (const Node* n : c.one_of) found += matches(*n, v, path, depth);
      if (found != 1)
        invalid(path, v, fmt::format("\"{}\" must validate one and only one schema (oneOf). Found {}", path.text(),
                                     found == 0 ? std::string("none valid") : std::to_string(found) + " valid alternatives"));
    }
    if (c.negated && matches(*c.negated, v, path, depth))
      invalid(path, v, fmt::format("\"{}\" must not validate the schema (not)", path.text()));
  }
};

}  // namespace

void validate_node(const Node& node, const Json& value, const Json* old, std::vector<FieldError>& errors) {
  Walker{errors}.walk(node, value, old, Path{}, 0);
}

std::vector<FieldError> Validator::validate(const Json& object, const Json* old) const {
  std::vector<FieldError> errors;
  validate_node(*root_, object, old, errors);
  return errors;
}

}  // namespace nodevirt::schema
