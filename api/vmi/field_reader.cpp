#include "api/vmi/field_reader.hpp"

namespace nodevirt::api {

FieldReader::FieldReader(const Json* value, std::string path, std::optional<Error>& error)
    : value_(value), path_(std::move(path)), error_(error) {
  if (value_ && value_->is_null()) value_ = nullptr;
  if (value_ && !value_->is_object()) {
    if (!error_) error_ = Error(Code::InvalidArgument, "Invalid", fmt::format("{}: must be an object", path_));
    value_ = nullptr;
  }
}

const Json* FieldReader::member(std::string_view key) const {
  if (!value_) return nullptr;
  auto it = value_->find(std::string(key));
  return it == value_->end() || it->is_null() ? nullptr : &*it;
}

std::string FieldReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void FieldReader::fail(std::string_view key, std::string_view what) const {
  if (!error_) error_ = Error(Code::InvalidArgument, "Invalid", fmt::format("{}: {}", path_of(key), what));
}

FieldReader FieldReader::at(std::string_view key) const { return {member(key), path_of(key), error_}; }

std::string FieldReader::text(std::string_view key) const {
  const Json* m = member(key);
  if (!m) return {};
  if (!m->is_string()) return fail(key, "must be a string"), std::string();
  return m->get_ref<const std::string&>();
}

std::optional<bool> FieldReader::opt_flag(std::string_view key) const {
  const Json* m = member(key);
  if (!m) return std::nullopt;
  if (!m->is_boolean()) return fail(key, "must be true or false"), std::nullopt;
  return m->get<bool>();
}

bool FieldReader::flag(std::string_view key, bool fallback) const { return opt_flag(key).value_or(fallback); }

std::int64_t FieldReader::integer(std::string_view key, std::int64_t lowest, std::int64_t highest,
                                  std::int64_t fallback) const {
  const Json* m = member(key);
  if (!m) return fallback;
  bool fits = m->is_number_integer() &&
              !(m->is_number_unsigned() && m->get<std::uint64_t>() > std::uint64_t(std::numeric_limits<std::int64_t>::max()));
  std::int64_t v = fits ? m->get<std::int64_t>() : 0;
  if (!fits || v < lowest || v > highest)
    return fail(key, fmt::format("must be a whole number from {} to {}", lowest, highest)), fallback;
  return v;
}

std::optional<std::uint32_t> FieldReader::opt_u32(std::string_view key) const {
  if (!member(key)) return std::nullopt;
  return static_cast<std::uint32_t>(integer(key, 0, std::numeric_limits<std::uint32_t>::max()));
}

namespace {
// A quantity may be written as a string or as a bare number.
Result<Quantity> to_quantity(const Json& v) {
  if (v.is_string()) return Quantity::parse(v.get_ref<const std::string&>());
  if (v.is_number()) return Quantity::parse(v.dump());
  return Error(Code::InvalidArgument, "must be a quantity, for example \"64Mi\"");
}
}  // namespace

std::optional<Quantity> FieldReader::quantity(std::string_view key) const {
  const Json* m = member(key);
  if (!m) return std::nullopt;
  auto q = to_quantity(*m);
  if (!q) return fail(key, q.error().message), std::nullopt;
  return *q;
}

std::map<std::string, std::string> FieldReader::texts(std::string_view key) const {
  std::map<std::string, std::string> out;
  const Json* m = member(key);
  if (!m) return out;
  if (!m->is_object() || m->size() > kMaxItems) return fail(key, "must be an object of at most 1000 strings"), out;
  for (auto& [k, v] : m->items()) {
    if (!v.is_string()) return fail(key, fmt::format("the value of {} must be a string", k)), out;
    out.emplace(k, v.get_ref<const std::string&>());
  }
  return out;
}

std::map<std::string, Quantity> FieldReader::quantities(std::string_view key) const {
  std::map<std::string, Quantity> out;
  const Json* m = member(key);
  if (!m) return out;
  if (!m->is_object() || m->size() > kMaxItems) return fail(key, "must be an object of at most 1000 quantities"), out;
  for (auto& [k, v] : m->items()) {
    auto q = to_quantity(v);
    if (!q) return fail(fmt::format("{}.{}", key, k), q.error().message), out;
    out.emplace(k, *q);
  }
  return out;
}

const Json* FieldReader::list_of(std::string_view key) const {
  const Json* m = member(key);
  if (!m) return nullptr;
  if (!m->is_array() || m->size() > kMaxItems) return fail(key, "must be a list of at most 1000 items"), nullptr;
  return m;
}

std::vector<std::string> FieldReader::text_list(std::string_view key) const {
  std::vector<std::string> out;
  const Json* list = list_of(key);
  for (std::size_t i = 0; list && i < list->size(); ++i) {
    if (!(*list)[i].is_string()) return fail(fmt::format("{}[{}]", key, i), "must be a string"), out;
    out.push_back((*list)[i].get_ref<const std::string&>());
  }
  return out;
}

Json FieldReader::raw(std::string_view key) const {
  const Json* m = member(key);
  return m ? *m : Json();
}

}  // namespace nodevirt::api
