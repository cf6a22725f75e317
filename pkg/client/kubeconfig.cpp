#include "pkg/client/kubeconfig.hpp"

#include <cstdlib>

#include <yaml-cpp/yaml.h>

#include "pkg/base/file.hpp"
#include "pkg/client/base64.hpp"
#include "pkg/client/http_transport.hpp"

namespace nodevirt::client {

namespace {

constexpr std::size_t kMaxFile = 4u << 20;

// One of the lists of a kubeconfig (clusters, users, contexts) by name, with the folder of its file.
struct Entry {
  YAML::Node node;
  std::filesystem::path folder;
};
struct Merged {
  std::map<std::string, Entry> clusters, users, contexts;
  std::string current;
};

std::string text(const YAML::Node& node, const char* key) {
  YAML::Node member = node[key];
  return member && member.IsScalar() ? member.Scalar() : "";
}

void merge_list(const YAML::Node& file, const char* list, const char* inner, const std::filesystem::path& folder,
                std::map<std::string, Entry>& into) {
  YAML::Node items = file[list];
  if (!items || !items.IsSequence()) return;
  for (const auto& item : items) {
    if (!item.IsMap()) continue;
    YAML::Node value = item[inner];
    if (value && value.IsMap()) into.emplace(text(item, "name"), Entry{value, folder});
  }
}

Result<void> merge_file(const std::filesystem::path& path, Merged& out) {
  NV_TRY(std::string content, read_file(path, kMaxFile));
  try {
    YAML::Node file = YAML::Load(content);
    if (!file.IsMap()) return Error(Code::InvalidArgument, fmt::format("{} is not a kubeconfig", path.string()));
    auto folder = path.parent_path();
    merge_list(file, "clusters", "cluster", folder, out.clusters);
    merge_list(file, "users", "user", folder, out.users);
    merge_list(file, "contexts", "context", folder, out.contexts);
    if (out.current.empty()) out.current = text(file, "current-context");
  } catch (const std::exception& e) {
    return Error(Code::InvalidArgument, fmt::format("{} is not a kubeconfig: {}", path.string(), e.what()));
  }
  return {};
}

// NAME-data in base64, or the file that NAME names.
Result<std::string> pem(const Entry& entry, const std::string& name) {
  if (std::string data = text(entry.node, (name + "-data").c_str()); !data.empty()) {
    auto decoded = decode_base64(data);
    if (!decoded.ok()) return decoded.error().with_context(name + "-data");
    return decoded;
  }
  std::string file = text(entry.node, name.c_str());
  if (file.empty()) return std::string();
  auto content = read_file(entry.folder / file, kMaxFile);
  if (!content.ok()) return content.error().with_context(name);
  return content;
}

template <class Map>
std::string names(const Map& map) {
  std::string out;
  for (const auto& [name, entry] : map) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "none" : out;
}

Result<Endpoint> endpoint_of(const Merged& all, const std::string& wanted) {
  Endpoint out;
  out.context = wanted.empty() ? all.current : wanted;
  if (out.context.empty()) return Error(Code::InvalidArgument, "no current-context is set; choose one with --context");
  auto context = all.contexts.find(out.context);
  if (context == all.contexts.end())
    return Error(Code::NotFound, fmt::format("there is no context \"{}\"; there are: {}", out.context, names(all.contexts)));
  auto cluster = all.clusters.find(text(context->second.node, "cluster"));
  if (cluster == all.clusters.end())
    return Error(Code::NotFound, fmt::format("context \"{}\" names the cluster \"{}\", which is not there", out.context,
                                             text(context->second.node, "cluster")));
  if (std::string ns = text(context->second.node, "namespace"); !ns.empty()) out.ns = ns;
  const Entry& c = cluster->second;
  out.server = text(c.node, "server");
  if (!text(c.node, "proxy-url").empty()) return Error(Code::Unimplemented, "proxy-url in a kubeconfig is not supported");
  out.tls.server_name = text(c.node, "tls-server-name");
  out.tls.insecure = text(c.node, "insecure-skip-tls-verify") == "true";
  NV_TRY(out.tls.ca_pem, pem(c, "certificate-authority"));

  out.user = text(context->second.node, "user");
  auto user = all.users.find(out.user);
  if (user == all.users.end()) {
    if (out.user.empty()) return out;
    return Error(Code::NotFound, fmt::format("context \"{}\" names the user \"{}\", which is not there", out.context, out.user));
  }
  const Entry& u = user->second;
  for (const char* other : {"exec", "auth-provider", "username"})
    if (u.node[other])
      return Error(Code::Unimplemented,
                   fmt::format("user \"{}\" logs in by \"{}\", which is not supported; use a client certificate or a token",
                               out.user, other));
  NV_TRY(out.tls.certificate_pem, pem(u, "client-certificate"));
  NV_TRY(out.tls.private_key_pem, pem(u, "client-key"));
  if (out.tls.certificate_pem.empty() != out.tls.private_key_pem.empty())
    return Error(Code::InvalidArgument, fmt::format("user \"{}\" has only one of client-certificate and client-key", out.user));
  out.token = text(u.node, "token");
  if (std::string file = text(u.node, "tokenFile"); !file.empty() && out.token.empty()) out.token_file = u.folder / file;
  return out;
}

std::vector<std::filesystem::path> paths_of(const KubeconfigOptions& options) {
  if (!options.path.empty()) return {options.path};
  std::vector<std::filesystem::path> out;
  if (const char* list = std::getenv("KUBECONFIG"); list && *list) {
    std::stringstream in{std::string(list)};
    for (std::string item; std::getline(in, item, ':');)
      if (!item.empty()) out.emplace_back(item);
  } else if (const char* home = std::getenv("HOME"); home && *home) {
    out.push_back(std::filesystem::path(home) / ".kube/config");
  }
  return out;
}

}  // namespace

Result<Endpoint> load_kubeconfig(const KubeconfigOptions& options) {
  Merged all;
  std::string tried;
  bool any = false;
  for (const auto& path : paths_of(options)) {
    auto merged = merge_file(path, all);
    if (!merged.ok() && merged.error().code == Code::NotFound && options.path.empty()) {
      tried += (tried.empty() ? "" : ", ") + path.string();
      continue;  // as kubectl: files of the list may be missing
    }
    if (!merged.ok()) return merged.error().with_context("kubeconfig");
    any = true;
  }
  if (!any) {
    if (std::getenv("KUBERNETES_SERVICE_HOST")) return in_cluster();
    return Error(Code::NotFound, fmt::format("no kubeconfig: there is no {}; name one with --kubeconfig or KUBECONFIG",
                                             tried.empty() ? "~/.kube/config" : tried));
  }
  try {
    auto endpoint = endpoint_of(all, options.context);
    if (!endpoint.ok()) return endpoint.error().with_context("kubeconfig");
    auto url = parse_server_url(endpoint->server);
    if (!url.ok()) return url.error().with_context("kubeconfig");
    return endpoint;
  } catch (const std::exception& e) {
    return Error(Code::InvalidArgument, fmt::format("kubeconfig: {}", e.what()));
  }
}

Result<Endpoint> in_cluster() {
  const std::filesystem::path folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (!host || !*host) return Error(Code::NotFound, "this does not run in a pod: KUBERNETES_SERVICE_HOST is not set");
  Endpoint out;
  std::string address = host;
  if (address.find(':') != std::string::npos) address = "[" + address + "]";
  out.server = fmt::format("https://{}:{}", address, port && *port ? port : "443");
  out.context = "in-cluster";
  NV_TRY(out.tls.ca_pem, read_file(folder / "ca.crt", kMaxFile));
  out.token_file = folder / "token";
  if (auto ns = read_file(folder / "namespace", 1024); ns.ok() && !ns->empty()) {
    while (!ns->empty() && std::isspace(static_cast<unsigned char>(ns->back()))) ns->pop_back();
    out.ns = *ns;
  }
  return out;
}

Result<std::shared_ptr<Transport>> make_transport(Executor executor, const Endpoint& endpoint) {
  NV_TRY(ServerUrl url, parse_server_url(endpoint.server));
  HttpTransport::Options options;
  options.http.host = url.host;
  options.http.port = url.port;
  options.http.server_name = endpoint.tls.server_name;
  if (url.tls) { NV_TRY(options.http.tls, net::make_client_context(endpoint.tls)); }
  options.prefix = url.prefix;
  options.token = endpoint.token;
  options.token_file = endpoint.token_file;
  return std::shared_ptr<Transport>(std::make_shared<HttpTransport>(std::move(executor), std::move(options)));
}

}  // namespace nodevirt::client
