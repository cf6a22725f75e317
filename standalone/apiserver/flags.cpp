#include "standalone/apiserver/flags.hpp"

#include <charconv>

#include <fmt/format.h>

#include "pkg/base/file.hpp"

namespace nodevirt::apiserver {

std::string usage() {
  return "Usage: nodevirt apiserver [flags]\n\n"
         "  --data-dir DIR               state: DIR/state.db\n"
         "  --database FILE              the database, elsewhere\n"
         "  --listen HOST:PORT           listen here (may be repeated)\n"
         "  --listen-fd N                a listening socket that was handed down (may be repeated)\n"
         "  --tls-cert, --tls-key FILE   the server's certificate and key; without them plain HTTP on loopback only\n"
         "  --client-ca FILE             whose client certificates are users\n"
         "  --sa-key FILE                signs service account tokens (also --service-account-key)\n"
         "  --front-proxy-cert FILE      shown to aggregated servers and webhooks (also --proxy-client-cert)\n"
         "  --front-proxy-key FILE       (also --proxy-client-key)\n"
         "  --token-file FILE            static tokens, lines of token,user,uid,\"group1,group2\"\n"
         "  --manifests DIR              applied at start (may be repeated)\n"
         "  --resolve-service NS/NAME=HOST:PORT  where a Service is, instead of its Endpoints (may be repeated)\n"
         "  --service-cidr CIDR          addresses of Services (10.96.0.0/16)\n"
         "  --node-port-range A-B        (30000-32767)\n"
         "  --logs-root DIR              container logs are in DIR/nodes/NODE/pods/UID/containers/NAME/log\n"
         "  --volumes-dir DIR            local volumes (for the volume controller)\n";
}

namespace {

Result<void> read_tokens(const std::string& path, Options& options) {
  NV_TRY(auto text, read_file(path, 1u << 20));
  for (std::size_t at = 0; at < text.size();) {
    auto end = std::min(text.find('\n', at), text.size());
    auto line = text.substr(at, end - at);
    at = end + 1;
    auto c1 = line.find(','), c2 = c1 == std::string::npos ? c1 : line.find(',', c1 + 1), c3 = c2 == std::string::npos ? c2 : line.find(',', c2 + 1);
    if (c2 == std::string::npos) continue;
    auto groups = c3 == std::string::npos ? "" : line.substr(c3 + 1);
    std::erase(groups, '"');
    for (auto& c : groups) if (c == ',') c = '|';
    options.static_tokens[line.substr(0, c1)] = line.substr(c1 + 1, c2 - c1 - 1) + "," + line.substr(c2 + 1, c3 == std::string::npos ? c3 : c3 - c2 - 1) + "," + groups;
  }
  return {};
}

}  // namespace

Result<Flags> parse_flags(const std::vector<std::string>& args) {
  Flags f;
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::string name = args[i], value;
    if (name == "--help" || name == "-h") { f.help = true; return f; }
    if (!name.starts_with("--")) return Error(Code::InvalidArgument, fmt::format("\"{}\" is not a flag", name));
    name = name.substr(2);
    if (auto eq = name.find('='); eq != std::string::npos) {
      value = name.substr(eq + 1);
      name.resize(eq);
    } else {
      if (i + 1 >= args.size()) return Error(Code::InvalidArgument, fmt::format("--{} needs a value", name));
      value = args[++i];
    }
    auto file = [&value](std::string& into) -> Result<void> {
      NV_TRY(into, read_file(value, 1u << 20));
      return {};
    };
    auto& o = f.options;
    if (name == "data-dir") f.data_dir = value;
    else if (name == "database") o.database = value;
    else if (name == "listen") f.listen.push_back(value);
    else if (name == "listen-fd") {
      int fd = -1;
      auto [p, ec] = std::from_chars(value.data(), value.data() + value.size(), fd);
      if (ec != std::errc() || p != value.data() + value.size() || fd < 0) return Error(Code::InvalidArgument, fmt::format("--listen-fd {}: not a descriptor", value));
      f.listen_fds.push_back(fd);
    } else if (name == "tls-cert") f.tls_cert = value;
    else if (name == "tls-key") f.tls_key = value;
    else if (name == "client-ca") { NV_TRY_VOID(file(o.client_ca_pem)); }
    else if (name == "sa-key" || name == "service-account-key") { NV_TRY_VOID(file(o.service_account_key_pem)); }
    else if (name == "front-proxy-cert" || name == "proxy-client-cert") { NV_TRY_VOID(file(o.front_proxy_certificate_pem)); }
    else if (name == "front-proxy-key" || name == "proxy-client-key") { NV_TRY_VOID(file(o.front_proxy_key_pem)); }
    else if (name == "token-file") { NV_TRY_VOID(read_tokens(value, o)); }
    else if (name == "manifests") f.manifests.push_back(value);
    else if (name == "resolve-service") {
      auto eq = value.find('=');
      if (eq == std::string::npos || value.find('/') > eq) return Error(Code::InvalidArgument, fmt::format("--resolve-service {}: NAMESPACE/NAME=HOST:PORT is expected", value));
      o.resolve_service[value.substr(0, eq)] = value.substr(eq + 1);
    } else if (name == "service-cidr") o.service_cidr = value;
    else if (name == "node-port-range") {
      unsigned a = 0, b = 0;
      if (std::sscanf(value.c_str(), "%u-%u", &a, &b) != 2 || a < 1 || b > 65535 || a > b)
        return Error(Code::InvalidArgument, fmt::format("--node-port-range {}: FIRST-LAST is expected", value));
      o.node_port_first = std::uint16_t(a);
      o.node_port_last = std::uint16_t(b);
    } else if (name == "logs-root") f.logs_root = value;
    else if (name == "volumes-dir") { /* the composing program's */ }
    else return Error(Code::InvalidArgument, fmt::format("there is no flag --{}", name));
  }
  if (f.options.database.empty()) {
    if (f.data_dir.empty()) return Error(Code::InvalidArgument, "--data-dir or --database is needed");
    f.options.database = f.data_dir / "state.db";
  }
  if (f.logs_root.empty()) f.logs_root = f.data_dir.empty() ? f.options.database.parent_path() : f.data_dir.parent_path();
  if (f.listen.empty() && f.listen_fds.empty()) f.listen.push_back("127.0.0.1:6443");
  if (f.tls_cert.empty() != f.tls_key.empty()) return Error(Code::InvalidArgument, "--tls-cert and --tls-key go together");
  return f;
}

}  // namespace nodevirt::apiserver
