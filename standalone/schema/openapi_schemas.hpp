// The definitions of an OpenAPI document: names as Kubernetes' own documents spell them.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "standalone/schema/openapi.hpp"

namespace nodevirt::schema {

enum class OpenApiVersion { V2, V3 };

/// "io.k8s.api.core.v1.Pod", "io.kubevirt.v1.VirtualMachine"; the list's name ends in "List".
std::string definition_name(const ApiKind& kind);
std::string definition_name(std::string_view group, std::string_view version, std::string_view kind);
/// {"$ref": "#/components/schemas/NAME"} or "#/definitions/NAME".
Json reference(std::string_view name, OpenApiVersion version);

/// Collects what a set of kinds needs: the kinds, their lists, and everything these refer to.
class Definitions {
 public:
  explicit Definitions(OpenApiVersion version) : version_(version) {}
  void add(const ApiKind& kind);
  const std::map<std::string, Json>& all() const { return all_; }

 private:
  void add_builtin(const std::string& type);
  void add_custom(const ApiKind& kind, const std::string& name);
  void add_list(const ApiKind& kind, const std::string& name);
  void add_basics();

  OpenApiVersion version_;
  std::map<std::string, Json> all_;
  std::set<std::string> seen_;
};

}  // namespace nodevirt::schema
