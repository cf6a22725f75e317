// The OpenAPI documents of what is served now, built when asked for: only the small index is kept.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "standalone/apiserver/server_state.hpp"
#include "standalone/schema/openapi.hpp"

namespace nodevirt::apiserver {

class OpenApiPublisher {
 public:
  explicit OpenApiPublisher(ServerState& state) : s_(state) {}
  using Document = schema::OpenApi::Document;
  Document v3_index();
  Document v3(const std::string& path);
  Document v2(bool protobuf);
  const std::string& v2_hash();

 private:
  std::vector<schema::ApiKind> kinds(const std::string* group, const std::string* version) const;
  ServerState& s_;
  std::uint64_t index_generation_ = 0, v2_generation_ = 0;
  Document index_;
  std::string v2_hash_;
};

}  // namespace nodevirt::apiserver
