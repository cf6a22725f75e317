// The OpenAPI documents of an API server: /openapi/v3 (index and one document per group and version)
// and /openapi/v2 (JSON and gnostic's protobuf). Documents are built when asked for and kept only while
// somebody holds them; the small index is kept. Not thread-safe: one strand.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::schema {

/// A served kind. `schema` is the openAPIV3Schema of a custom resource, or nullptr for a built-in one.
struct ApiKind {
  std::string group, version, kind, plural;
  bool namespaced = true;
  /// create delete deletecollection get list patch update watch
  std::vector<std::string> verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  struct Subresource {
    std::string name;                 ///< status, scale, binding, eviction, token, log
    std::vector<std::string> verbs;   ///< as above
    std::string group, version, kind; ///< of its body; empty: the kind itself
  };
  std::vector<Subresource> subresources;
  std::shared_ptr<const Json> schema;
  /// Instead of `schema`, for a server that does not keep it decoded: called when a document is built.
  /// `schema_hash` must then change whenever the schema does (the CRD's uid and generation).
  std::function<std::shared_ptr<const Json>()> load_schema;
  std::string schema_hash;
};

class OpenApi {
 public:
  using Document = std::shared_ptr<const std::string>;
  /// As requested (Accept) with "@"; answered with ".", since "@" has no place in a media type.
  inline static constexpr std::string_view kV2ProtobufType = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
  inline static constexpr std::string_view kV2ProtobufContentType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
  inline static constexpr std::string_view kV3ProtobufType = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";

  explicit OpenApi(std::string server_version = "v1.32.0");
  ~OpenApi();

  /// Replaces what is served (all groups, built-in and custom). Cheap: nothing is built.
  void set_kinds(std::vector<ApiKind> kinds);
  /// Adds the index entries of an aggregated group version: its documents are fetched by the server.
  void set_aggregated(std::map<std::string, std::string> path_to_url);

  /// GET /openapi/v3: {"paths":{"api/v1":{"serverRelativeURL":"/openapi/v3/api/v1?hash=..."}}}
  Document v3_index();
  /// GET /openapi/v3/PATH with PATH "api/v1" or "apis/GROUP/VERSION"; nullptr when not served (404).
  Document v3_document(std::string_view path);
  /// The hash of a v3 document (upper-case hex), "" when not served: the ETag, and ?hash=.
  std::string v3_hash(std::string_view path);

  /// GET /openapi/v2, as JSON, and for `Accept: application/com.github.proto-openapi.spec.v2...`.
  Document v2_json();
  Document v2_protobuf();
  /// The ETag of both.
  std::string v2_hash();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nodevirt::schema
