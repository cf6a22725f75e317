// Tables (meta.k8s.io/v1 Table), the form in which `kubectl get` reads lists.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::schema {

enum class IncludeObject { None, Metadata, Object };
/// "None", "Metadata" (and ""), "Object"; InvalidArgument otherwise.
Result<IncludeObject> parse_include_object(std::string_view text);

/// The columns of one kind. Immutable and thread-safe.
class TableFormat {
 public:
  /// Of a built-in kind; an unknown one gets NAME and AGE ("Created At").
  static std::shared_ptr<const TableFormat> builtin(std::string_view group, std::string_view kind);
  /// Of a CRD version's additionalPrinterColumns (array or null). InvalidArgument when a jsonPath,
  /// type or name is wrong. With none of them: NAME and AGE.
  static Result<std::shared_ptr<const TableFormat>> custom(const Json& additional_printer_columns);
  virtual ~TableFormat() = default;

  /// columnDefinitions.
  virtual Json columns() const = 0;
  /// The cells of one object. Never fails: what is missing or odd is null, "<none>" or "<unknown>".
  virtual Json cells(const Json& object, Clock::WallTime now) const = 0;
};

struct TableOptions {
  IncludeObject include_object = IncludeObject::Metadata;
  Clock::WallTime now{};
  /// False for every event of a watch but the first.
  bool column_definitions = true;
  /// The list's metadata (resourceVersion, continue, remainingItemCount); the object's for a single one.
  Json list_metadata = Json::object();
};

/// {"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":...,"columnDefinitions":[...],"rows":[...]}
Json render_table(const TableFormat& format, std::span<const Json* const> objects, const TableOptions& options);
/// One row, for a server that streams lists: {"cells":[...],"object":...}.
Json render_row(const TableFormat& format, const Json& object, const TableOptions& options);

/// "5s", "3m20s", "2d4h", "3y10d": a duration as kubectl prints it. "<invalid>" when far in the past.
std::string human_duration(std::chrono::seconds d);

}  // namespace nodevirt::schema
