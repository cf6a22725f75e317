#include "standalone/apiserver/handlers/openapi_publisher.hpp"

#include <malloc.h>

#include <fmt/format.h>

#include "standalone/apiserver/handlers/call.hpp"
#include "standalone/apiserver/schema_cache.hpp"

namespace nodevirt::apiserver {

std::vector<schema::ApiKind> OpenApiPublisher::kinds(const std::string* group, const std::string* version) const {
  std::vector<schema::ApiKind> out;
  for (const auto& r : s_.registry.all()) {
    if (group && r->group != *group) continue;
    for (const auto& v : r->versions) {
      if (!v.served || (version && v.name != *version)) continue;
      schema::ApiKind k;
      k.group = r->group;
      k.version = v.name;
      k.kind = r->kind;
      k.plural = r->plural;
      k.namespaced = r->namespaced;
      k.verbs = r->verbs;
      for (const auto& sub : r->subresources) k.subresources.push_back({sub.name, sub.verbs, sub.group, sub.version, sub.kind});
      if (v.status) k.subresources.push_back({"status", {"get", "patch", "update"}, "", "", ""});
      if (v.scale) k.subresources.push_back({"scale", {"get", "patch", "update"}, "autoscaling", "v1", "Scale"});
      if (r->custom) {
        // Definitions are megabytes: read when a document is built, told apart by the revision of the CRD.
        k.schema_hash = fmt::format("{}/{}", r->crd, r->crd_revision);
        k.load_schema = [this, r, version = v.name] {
          auto raw = s_.schemas->raw_schema(*r, version);
          return std::make_shared<const Json>(raw.ok() && !raw->is_null() ? std::move(*raw) : Json{{"type", "object"}});
        };
      }
      out.push_back(std::move(k));
    }
  }
  return out;
}

OpenApiPublisher::Document OpenApiPublisher::v3_index() {
  if (!index_ || index_generation_ != s_.registry.generation()) {
    schema::OpenApi api;
    api.set_kinds(kinds(nullptr, nullptr));
    index_ = api.v3_index();
    index_generation_ = s_.registry.generation();
  }
  ::malloc_trim(0);
  return index_;
}

OpenApiPublisher::Document OpenApiPublisher::v3(const std::string& path) {
  std::string group, version;
  if (path.starts_with("api/")) {
    version = path.substr(4);
  } else if (path.starts_with("apis/")) {
    auto slash = path.find('/', 5);
    if (slash == std::string::npos) return nullptr;
    group = path.substr(5, slash - 5);
    version = path.substr(slash + 1);
  } else {
    return nullptr;
  }
  if (s_.registry.in(group, version).empty()) return nullptr;
  Document doc;
  {
    schema::OpenApi api;
    api.set_kinds(kinds(&group, &version));
    doc = api.v3_document(path);
  }
  ::malloc_trim(0);
  return doc;
}

OpenApiPublisher::Document OpenApiPublisher::v2(bool protobuf) {
  Document doc;
  {
    schema::OpenApi api;
    api.set_kinds(kinds(nullptr, nullptr));
    doc = protobuf ? api.v2_protobuf() : api.v2_json();
    v2_hash_ = api.v2_hash();
    v2_generation_ = s_.registry.generation();
  }
  ::malloc_trim(0);
  return doc;
}

const std::string& OpenApiPublisher::v2_hash() {
  static const std::string none;
  return v2_generation_ == s_.registry.generation() ? v2_hash_ : none;
}

Awaitable<void> handle_openapi(Call& call) {
  auto path = call.info.path;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  auto accept = call.accept();
  auto& api = *call.s.openapi;
  if (path == "/openapi/v3") {
    std::string body = *api.v3_index();
    co_await send_json(call, 200, std::move(body));
    co_return;
  }
  if (path.starts_with("/openapi/v3/")) {
    auto doc = api.v3(path.substr(12));
    if (!doc) { co_await send_error(call, no_such_path()); co_return; }
    std::string body = *doc;
    doc.reset();
    co_await send_json(call, 200, std::move(body));
    co_return;
  }
  if (path == "/openapi/v2") {
    bool protobuf = accept.find("proto-openapi.spec.v2") != std::string::npos;
    std::string type(protobuf ? schema::OpenApi::kV2ProtobufContentType : std::string_view("application/json"));
    auto known = api.v2_hash();
    if (!known.empty() && call.request.headers.get("If-None-Match") == "\"" + known + "\"") { co_await send_json(call, 304, "", type); co_return; }
    auto doc = api.v2(protobuf);
    call.headers.emplace_back("ETag", "\"" + api.v2_hash() + "\"");
    std::string body = *doc;
    doc.reset();
    co_await send_json(call, 200, std::move(body), type);
    co_return;
  }
  co_await send_error(call, no_such_path());
}

}  // namespace nodevirt::apiserver
