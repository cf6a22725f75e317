#include "standalone/apiserver/manifest_loader.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <malloc.h>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/handlers/negotiation.hpp"

namespace nodevirt::apiserver {

namespace {

std::string digest(std::string_view text) {
  // FNV-1a: it only tells whether a file of ours is the one that was loaded.
  std::uint64_t h = 1469598103934665603ull;
  for (unsigned char c : text) h = (h ^ c) * 1099511628211ull;
  return fmt::format("{:016x}", h);
}

std::string lower_plural(const std::string& kind) {
  std::string s = kind;
  for (auto& c : s) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (s.ends_with("ss") || s.ends_with("x")) return s + "es";
  if (s.ends_with("y") && !s.ends_with("ey")) return s.substr(0, s.size() - 1) + "ies";
  if (s.ends_with("s")) return s;
  return s + "s";
}

bool cluster_scoped(const std::string& kind) {
  for (const char* k : {"Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "APIService",
                        "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "PriorityClass", "StorageClass", "MigrationPolicy",
                        "VirtualMachineClusterInstancetype", "VirtualMachineClusterPreference"})
    if (kind == k) return true;
  return false;
}

int order(const Json& o) {
  auto kind = string_at(o, {"kind"});
  if (kind == "Namespace") return 0;
  if (kind == "CustomResourceDefinition") return 1;
  return 2;
}

std::string collection(const Json& o) {
  auto api = string_at(o, {"apiVersion"}), kind = string_at(o, {"kind"});
  std::string path = (api.find('/') == std::string::npos ? "/api/" : "/apis/") + api;
  if (!cluster_scoped(kind)) path += "/namespaces/" + string_at(o, {"metadata", "namespace"}, "default");
  return path + "/" + lower_plural(kind);
}

net::Request request(std::string method, std::string target, std::string type = "", std::string body = "") {
  net::Request r;
  r.method = std::move(method);
  r.target = std::move(target);
  r.headers.set("Accept", "application/json");
  r.headers.set("User-Agent", "nodevirt-manifests/1");
  if (!type.empty()) r.headers.set("Content-Type", std::move(type));
  r.body = std::move(body);
  return r;
}

constexpr const char* kRecordPath = "/api/v1/namespaces/kube-system/configmaps/nodevirt-manifests";

Error failure(const net::Response& r) { return k8s::error_of_response(r.status, r.body); }

}  // namespace

Awaitable<Result<bool>> ensure(std::shared_ptr<client::Transport> transport, Json object, bool update) {
  auto base = collection(object);
  auto name = string_at(object, {"metadata", "name"});
  auto what = fmt::format("{} {}", string_at(object, {"kind"}), name);
  auto get = request("GET", base + "/" + name);
  get.headers.set("Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
  auto there = co_await transport->send(std::move(get));
  if (!there.ok()) co_return there.error().with_context(what);
  if (there->status == 404) {
    auto post = request("POST", base, "application/json", dump_json(object));
    auto made = co_await transport->send(std::move(post));
    if (!made.ok()) co_return made.error().with_context(what);
    if (made->status == 409) co_return false;
    if (made->status / 100 != 2) co_return failure(*made).with_context(what);
    co_return true;
  }
  if (there->status != 200) co_return failure(*there).with_context(what);
  if (!update) co_return false;
  auto patch = request("PATCH", base + "/" + name, "application/merge-patch+json", dump_json(object));
  auto patched = co_await transport->send(std::move(patch));
  if (!patched.ok()) co_return patched.error().with_context(what);
  if (patched->status / 100 != 2) co_return failure(*patched).with_context(what);
  co_return true;
}

Awaitable<bool> manifests_were_loaded(std::shared_ptr<client::Transport> transport, std::filesystem::path folder) {
  auto get = request("GET", kRecordPath);
  auto recorded = co_await transport->send(std::move(get));
  if (!recorded.ok() || recorded->status != 200) co_return false;
  auto object = parse_json(recorded->body);
  const Json* data = object.ok() ? find(*object, {"data"}) : nullptr;
  if (!data || !data->is_object()) co_return false;
  for (const auto& [key, value] : data->items())
    if (key.starts_with(folder.filename().string() + ".")) co_return true;
  co_return false;
}

Awaitable<Result<void>> load_manifests(std::shared_ptr<client::Transport> transport, std::filesystem::path folder) {
  std::error_code ec;
  std::vector<std::filesystem::path> files, folders{folder};
  // The project's own tree: what belongs on one machine, without deployments and examples.
  if (std::filesystem::is_directory(folder / "crds", ec)) folders = {folder / "crds", folder / "rbac", folder / "one-machine"};
  ec.clear();
  for (const auto& one : folders) {
    if (folders.size() > 1 && !std::filesystem::exists(one, ec)) continue;
    for (std::filesystem::directory_iterator it(one, ec), end; !ec && it != end; it.increment(ec)) {
      auto ext = it->path().extension();
      if (ext == ".yaml" || ext == ".yml" || ext == ".json") files.push_back(it->path());
    }
  }
  if (ec) co_return Error(Code::NotFound, fmt::format("read the manifests in {}: {}", folder.string(), ec.message()));
  std::sort(files.begin(), files.end());

  // What was loaded when: one ConfigMap with a digest per file, so that an unchanged folder costs nothing.
  auto get = request("GET", kRecordPath);
  auto recorded = co_await transport->send(std::move(get));
  Json known = Json::object();
  bool record_exists = recorded.ok() && recorded->status == 200;
  if (record_exists)
    if (auto o = parse_json(recorded->body); o.ok()) known = o->value("data", Json::object());
  Json now = Json::object();
  std::vector<std::pair<std::string, std::string>> texts;
  for (const auto& file : files) {
    auto text = read_file(file);
    if (!text.ok()) co_return text.error();
    auto key = file.parent_path().filename().string() + "." + file.filename().string();
    auto d = digest(*text);
    now[key] = d;
    if (string_at(known, {key}) != d) texts.emplace_back(file.string(), std::move(*text));
  }
  if (texts.empty()) co_return Result<void>();

  std::optional<Error> first;
  for (int pass = 0; pass < 3; ++pass) {
    for (const auto& [file, text] : texts) {
      auto documents = yaml_documents(text);
      if (!documents.ok()) {
        if (pass == 0) log::error("{}: {}", file, documents.error().message);
        if (!first) first = documents.error().with_context(file);
        continue;
      }
      for (auto& o : *documents) {
        if (!o.is_object() || order(o) != pass) continue;
        auto done = co_await ensure(transport, std::move(o), true);
        if (!done.ok()) {
          log::error("{}: {}", file, done.error().message);
          if (!first) first = done.error().with_context(file);
        }
      }
    }
  }
  texts.clear();
  ::malloc_trim(0);
  if (first) co_return Error(*first);
  for (const auto& [k, v] : now.items()) known[k] = v;
  Json record{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "nodevirt-manifests"}, {"namespace", "kube-system"}}}, {"data", known}};
  auto done = co_await ensure(transport, std::move(record), true);
  if (!done.ok()) co_return done.error();
  co_return Result<void>();
}

}  // namespace nodevirt::apiserver
