// In which form a client wants its answer (Accept), and in which form it sent its body.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/json.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::apiserver {

struct AnswerForm {
  enum class Kind { Object, Table, PartialMetadata, PartialMetadataList } kind = Kind::Object;
  std::string version = "v1";   ///< of meta.k8s.io
  bool yaml = false;
};

/// NotAcceptable when nothing that is asked for can be had (protobuf alone, for example).
Result<AnswerForm> negotiate(std::string_view accept);

struct Decoded {
  Json object;
  std::vector<std::string> duplicates;   ///< paths of fields given twice; the last one counts
};
/// A JSON or YAML body. UnsupportedMediaType for others.
Result<Decoded> decode_body(std::string_view content_type, std::string_view body);
/// YAML or JSON to JSON, without Kubernetes' meaning; several documents are refused.
Result<Json> yaml_to_json(std::string_view text);
/// Every document of a YAML (or JSON) text; empty ones are skipped.
Result<std::vector<Json>> yaml_documents(std::string_view text);
std::string json_to_yaml(const Json& value);

/// The media type in front of any parameters, in lower case.
std::string media_type(std::string_view header);

}  // namespace nodevirt::apiserver
