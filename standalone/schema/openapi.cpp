#include "standalone/schema/openapi.hpp"

#include <fmt/format.h>

#include "standalone/schema/gnostic.hpp"
#include "standalone/schema/openapi_paths.hpp"

namespace nodevirt::schema {

namespace {

std::string path_of(const ApiKind& k) { return k.group.empty() ? "api/" + k.version : "apis/" + k.group + "/" + k.version; }

/// A digest of everything a document is made of; not of the document, which is only built when asked for.
class Digest {
 public:
  void add(std::string_view text) {
    for (std::size_t i = 0; i < 4; ++i) {
      auto& h = state_[i];
      for (unsigned char c : text) h = (h ^ (c + i * 131)) * 1099511628211ull;
      h = (h ^ 0xff) * 1099511628211ull;
    }
  }
  void add(const ApiKind& k) {
    for (const auto& s : {k.group, k.version, k.kind, k.plural, k.schema_hash}) add(s);
    add(k.namespaced ? "1" : "0");
    for (const auto& v : k.verbs) add(v);
    for (const auto& s : k.subresources) {
      add(s.name);
      add(s.kind);
      for (const auto& v : s.verbs) add(v);
    }
    if (k.schema) add(fmt::format("{:x}", std::hash<Json>{}(*k.schema)));
  }
  std::string hex() const { return fmt::format("{:016X}{:016X}{:016X}{:016X}", state_[0], state_[1], state_[2], state_[3]); }

 private:
  std::uint64_t state_[4] = {14695981039346656037ull, 14695981039346656037ull ^ 1, 14695981039346656037ull ^ 2, 14695981039346656037ull ^ 3};
};

}  // namespace

struct OpenApi::State {
  std::string version;
  std::map<std::string, std::vector<ApiKind>> groups;  ///< "apis/G/V" -> kinds
  std::map<std::string, std::string> aggregated;
  std::map<std::string, std::string> hashes;
  std::string all_hash;
  Document index;
  // Kept only while somebody is being served.
  std::map<std::string, std::weak_ptr<const std::string>> documents;
  std::weak_ptr<const std::string> v2_text, v2_bytes;

  Json info() const {
    Json i = Json::object();
    i["title"] = "Kubernetes";
    i["version"] = version;
    return i;
  }

  Json v2_document() const {
    Json doc = Json::object();
    doc["swagger"] = "2.0";
    doc["info"] = info();
    doc["paths"] = Json::object();
    doc["definitions"] = Json::object();
    Definitions definitions(OpenApiVersion::V2);
    for (const auto& [path, kinds] : groups)
      for (const ApiKind& k : kinds) {
        definitions.add(k);
        add_paths(doc["paths"], k, OpenApiVersion::V2);
      }
    for (const auto& [name, schema] : definitions.all()) doc["definitions"][name] = schema;
    return doc;
  }
};

OpenApi::OpenApi(std::string server_version) : state_(std::make_unique<State>()) { state_->version = std::move(server_version); }
OpenApi::~OpenApi() = default;

void OpenApi::set_kinds(std::vector<ApiKind> kinds) {
  state_->groups.clear();
  state_->hashes.clear();
  state_->documents.clear();
  state_->v2_text.reset();
  state_->v2_bytes.reset();
  state_->index.reset();
  state_->all_hash.clear();
  for (ApiKind& k : kinds) {
    std::string path = path_of(k);
    state_->groups[path].push_back(std::move(k));
  }
}

void OpenApi::set_aggregated(std::map<std::string, std::string> path_to_url) {
  state_->aggregated = std::move(path_to_url);
  state_->index.reset();
}

std::string OpenApi::v3_hash(std::string_view path) {
  const std::string key(path);
  auto group = state_->groups.find(key);
  if (group == state_->groups.end()) return {};
  std::string& hash = state_->hashes[key];
  if (hash.empty()) {
    Digest d;
    d.add(state_->version);
    for (const ApiKind& k : group->second) d.add(k);
    hash = d.hex();
  }
  return hash;
}

OpenApi::Document OpenApi::v3_index() {
  if (!state_->index) {
    Json paths = Json::object();
    for (const auto& [path, kinds] : state_->groups)
      paths[path]["serverRelativeURL"] = "/openapi/v3/" + path + "?hash=" + v3_hash(path);
    for (const auto& [path, url] : state_->aggregated)
      if (!paths.contains(path)) paths[path]["serverRelativeURL"] = url;
    Json index = Json::object();
    index["paths"] = std::move(paths);
    state_->index = std::make_shared<const std::string>(dump_json(index));
  }
  return state_->index;
}

OpenApi::Document OpenApi::v3_document(std::string_view path) {
  const std::string key(path);
  auto group = state_->groups.find(key);
  if (group == state_->groups.end()) return nullptr;
  if (auto kept = state_->documents[key].lock()) return kept;
  Definitions definitions(OpenApiVersion::V3);
  Json paths = Json::object();
  for (const ApiKind& k : group->second) {
    definitions.add(k);
    add_paths(paths, k, OpenApiVersion::V3);
  }
  // Put together as text: the definitions of custom resources are large.
  std::string text = R"({"openapi":"3.0.0","info":)" + dump_json(state_->info()) + R"(,"paths":)" + dump_json(paths) +
                     R"(,"components":{"schemas":{)";
  bool first = true;
  for (const auto& [name, schema] : definitions.all()) {
    if (!first) text += ',';
    first = false;
    text += dump_json(Json(name)) + ":" + dump_json(schema);
  }
  text += R"(},"securitySchemes":{"BearerToken":{"type":"apiKey","name":"authorization","in":"header"}}}})";
  auto document = std::make_shared<const std::string>(std::move(text));
  state_->documents[key] = document;
  return document;
}

std::string OpenApi::v2_hash() {
  if (state_->all_hash.empty()) {
    Digest d;
    for (const auto& [path, kinds] : state_->groups) d.add(v3_hash(path));
    state_->all_hash = d.hex();
  }
  return state_->all_hash;
}

OpenApi::Document OpenApi::v2_json() {
  auto kept = state_->v2_text.lock();
  if (!kept) {
    kept = std::make_shared<const std::string>(dump_json(state_->v2_document()));
    state_->v2_text = kept;
  }
  return kept;
}

OpenApi::Document OpenApi::v2_protobuf() {
  auto kept = state_->v2_bytes.lock();
  if (!kept) {
    kept = std::make_shared<const std::string>(encode_openapi_v2(state_->v2_document()));
    state_->v2_bytes = kept;
  }
  return kept;
}

}  // namespace nodevirt::schema
