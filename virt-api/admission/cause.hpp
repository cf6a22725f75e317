// What is wrong with an object: one cause per fault, as metav1.StatusCause carries them.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::virt_api {

struct Cause {
  enum class Type { Invalid, Required, NotSupported, Duplicate };
  std::string field;     ///< "spec.template.spec.domain.devices.disks[1].name"
  std::string message;   ///< the fault, and what to do about it
  Type type = Type::Invalid;
};
using Causes = std::vector<Cause>;

/// FieldValueInvalid ...
std::string_view to_string(Cause::Type type);

}  // namespace nodevirt::virt_api
