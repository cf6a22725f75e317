// Reads typed fields out of a JSON object and remembers the first field that was wrong, with its path.
#pragma once
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/quantity.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::api {

inline constexpr std::size_t kMaxItems = 1000;

/// A view of one object; `value` and `error` must outlive it. An absent or null field leaves the default.
class FieldReader {
 public:
  FieldReader(const Json* value, std::string path, std::optional<Error>& error);

  bool present() const { return value_ != nullptr; }
  bool has(std::string_view key) const { return member(key) != nullptr; }
  /// The member as an object; a reader that is not present() when there is none.
  FieldReader at(std::string_view key) const;

  std::string text(std::string_view key) const;
  bool flag(std::string_view key, bool fallback = false) const;
  std::optional<bool> opt_flag(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t lowest, std::int64_t highest, std::int64_t fallback = 0) const;
  std::optional<std::uint32_t> opt_u32(std::string_view key) const;
  std::uint32_t u32(std::string_view key) const { return opt_u32(key).value_or(0); }
  std::optional<Quantity> quantity(std::string_view key) const;
  std::map<std::string, std::string> texts(std::string_view key) const;
  std::map<std::string, Quantity> quantities(std::string_view key) const;
  std::vector<std::string> text_list(std::string_view key) const;
  /// A copy of the member, null when absent.
  Json raw(std::string_view key) const;

  /// Calls f(reader) for each object of a list.
  template <class F>
  void each(std::string_view key, F f) const {
    const Json* list = list_of(key);
    for (std::size_t i = 0; list && i < list->size(); ++i)
      f(FieldReader(&(*list)[i], path_of(key) + "[" + std::to_string(i) + "]", error_));
  }
  const Json& value() const { return *value_; }

 private:
  const Json* member(std::string_view key) const;
  const Json* list_of(std::string_view key) const;
  std::string path_of(std::string_view key) const;
  void fail(std::string_view key, std::string_view what) const;

  const Json* value_;
  std::string path_;
  std::optional<Error>& error_;
};

}  // namespace nodevirt::api
