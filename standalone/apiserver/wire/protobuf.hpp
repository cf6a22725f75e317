// Kubernetes' protobuf form of request bodies. kubectl's typed commands (create configmap, auth can-i,
// drain ...) send it; answers are always JSON, which those clients accept as well.
#pragma once
#include <string_view>

#include "pkg/base/json.hpp"

namespace nodevirt::apiserver::wire {

/// The object in an envelope ("k8s\0" and a runtime.Unknown). Fields that the table does not know are
/// dropped; UnsupportedMediaType for kinds that it does not know, BadRequest for what is malformed.
Result<Json> decode_protobuf(std::string_view body);

}  // namespace nodevirt::apiserver::wire
