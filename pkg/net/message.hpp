// HTTP messages as our handlers and clients see them: no type of Beast's appears here, so that
// another protocol version can join behind these.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::net {

/// Ordered; names compare without case; may repeat.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> items) : items_(items) {}
  /// The first value of the name, or empty.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  /// Every value of the name, in order.
  std::vector<std::string_view> all(std::string_view name) const;
  void add(std::string name, std::string value);
  void set(std::string name, std::string value);
  void remove(std::string_view name);
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  bool empty() const { return items_.empty(); }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

/// The decoded pairs of a query string, in order.
class Query {
 public:
  static Query parse(std::string_view text);
  std::optional<std::string> get(std::string_view name) const;
  std::string get_or(std::string_view name, std::string_view fallback) const;
  bool has(std::string_view name) const { return get(name).has_value(); }
  std::vector<std::string> all(std::string_view name) const;
  void add(std::string name, std::string value);
  std::string to_string() const;  ///< percent-encoded, without the leading '?'
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  bool empty() const { return items_.empty(); }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);

struct Request {
  std::string method = "GET";
  std::string target = "/";  ///< origin form: path, and query after '?', percent-encoded
  Headers headers;
  std::string body;

  std::string_view raw_path() const;   ///< before '?', as it came
  std::string path() const;            ///< decoded
  Query query() const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

}  // namespace nodevirt::net
