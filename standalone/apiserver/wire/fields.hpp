// The table of wire/fields.cpp: one file of wire/fields/ per group.
#pragma once
#include <cstddef>
#include <string_view>

namespace nodevirt::apiserver::wire {

extern const std::string_view kAdmissionregistrationFields;
extern const std::string_view kAuthenticationFields;
extern const std::string_view kAuthorizationFields;
extern const std::string_view kCoreNodesFields;
extern const std::string_view kCoreObjectsFields;
extern const std::string_view kCorePodsFields;
extern const std::string_view kCoreVolumesFields;
extern const std::string_view kDiscoveryFields;
extern const std::string_view kMetaFields;
extern const std::string_view kOthersFields;

extern const std::string_view* const kFields[];
extern const std::size_t kFieldsCount;

}  // namespace nodevirt::apiserver::wire
