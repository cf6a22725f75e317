// JSONPath as CRD printer columns, scale paths and selectableFields use it:
//   .a.b  ['a.b']  ["a"]  [0]  [-1]  [*]  .*  [1:3]  [0,2]  ..name  [?(@.type=="Ready")]  [?(@.x)]  {.a}
// Bounded: expressions up to 4 KiB, results up to kMaxResults, steps up to kMaxSteps.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::schema {

class JsonPath {
 public:
  static constexpr std::size_t kMaxResults = 10000;
  static constexpr std::size_t kMaxSteps = 100000;

  /// InvalidArgument with the offset of what was not understood. Braces and a leading $ are optional.
  static Result<JsonPath> compile(std::string_view expression);
  JsonPath(JsonPath&&) noexcept;
  JsonPath& operator=(JsonPath&&) noexcept;
  JsonPath(const JsonPath&);
  JsonPath& operator=(const JsonPath&);
  ~JsonPath();

  /// The values found, in order; pointers into `value`. Nothing found is an empty vector.
  std::vector<const Json*> evaluate(const Json& value) const;
  /// The member names when the expression is only .a.b or ['a']; empty otherwise (then it is no simple path).
  std::vector<std::string> simple_fields() const;

 private:
  JsonPath();
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace nodevirt::schema
