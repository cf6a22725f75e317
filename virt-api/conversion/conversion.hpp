// Conversion of kubevirt.io objects between v1 (stored), v1alpha3 (the same fields) and v1alpha2. Pure.
//
// In v1alpha2 a disk names its volume with `volumeName`, in v1 disk and volume have one name; and v1alpha2 has
// `registryDisk` where v1 has `containerDisk`. Going to v1 volumes take their disk's name; an annotation keeps
// what they were called, so that the way back gives what the user wrote.
#pragma once
#include "pkg/base/json.hpp"

namespace nodevirt::virt_api {

inline constexpr const char* kV1alpha2Annotation = "nodevirt.io/v1alpha2-volume-names";

/// The object in the wanted version ("kubevirt.io/v1alpha2"). InvalidArgument for a group or version that is not ours.
Result<Json> convert_object(Json object, std::string_view desired_api_version);

/// A ConversionReview (apiextensions.k8s.io/v1) answered; an error only when the body is none.
Result<Json> convert_review(const std::string& body);

}  // namespace nodevirt::virt_api
