#include "virt-controller/context.hpp"

namespace nodevirt::virt_controller {

runtime::ObjectReference reference_to(const Json& object) {
  return {string_at(object, {"apiVersion"}, "kubevirt.io/v1"), string_at(object, {"kind"}),
          string_at(object, {"metadata", "namespace"}), string_at(object, {"metadata", "name"}),
          string_at(object, {"metadata", "uid"}), string_at(object, {"metadata", "resourceVersion"})};
}

}  // namespace nodevirt::virt_controller
