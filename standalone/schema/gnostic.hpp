// gnostic's protobuf form of an OpenAPI v2 document (openapi.v2.Document), written by hand: it is
// the only message of its kind here.
#pragma once
#include <string>

#include "pkg/base/json.hpp"

namespace nodevirt::schema {

/// `document` is the JSON document as OpenApi builds it.
std::string encode_openapi_v2(const Json& document);

}  // namespace nodevirt::schema
