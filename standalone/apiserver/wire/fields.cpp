// Field numbers of the built-in kinds in Kubernetes' protobuf form (API 1.32 and later).
//   #package.Message, then one line per field: NUMBER NAME TYPE
// TYPE: s string, i integer, b bool, d double, y bytes, =X message X, @X a type with a JSON form of its own;
// before it * optional (a zero value is kept), + repeated, % map from strings. NAME ~ is inlined.
#include "standalone/apiserver/wire/fields.hpp"

#include <iterator>

namespace nodevirt::apiserver::wire {

const std::string_view* const kFields[] = {
    &kAdmissionregistrationFields,
    &kAuthenticationFields,
    &kAuthorizationFields,
    &kCoreNodesFields,
    &kCoreObjectsFields,
    &kCorePodsFields,
    &kCoreVolumesFields,
    &kDiscoveryFields,
    &kMetaFields,
    &kOthersFields,
};
const std::size_t kFieldsCount = std::size(kFields);

}  // namespace nodevirt::apiserver::wire
