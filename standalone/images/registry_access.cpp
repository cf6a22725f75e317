#include "standalone/images/registry_access.hpp"

#include <algorithm>

#include "pkg/base/json.hpp"

namespace nodevirt::images {
namespace fs = std::filesystem;
namespace {

std::string without_port(const std::string& host) { return host.substr(0, host.rfind(':')); }

bool has_certificates(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator it(folder, error);
  return !error && it != fs::directory_iterator();
}

}  // namespace

std::string registry_host(const Reference& reference) { return reference.name.substr(0, reference.name.find('/')); }

bool is_loopback(const std::string& host) {
  const std::string name = without_port(host);
  if (name == "localhost") return true;
  // Four numbers, so that 127.example.org is none.
  if (!name.starts_with("127.") || name.find_first_not_of("0123456789.") != std::string::npos) return false;
  return std::count(name.begin(), name.end(), '.') == 3;
}

bool has_login(const std::string& logins, const std::string& host) {
  auto parsed = logins.empty() ? Result<Json>(Error(Code::NotFound, "")) : parse_json(logins);
  const Json* auths = parsed.ok() ? find(*parsed, {"auths"}) : nullptr;
  if (!auths || !auths->is_object()) return false;
  for (const auto& [key, login] : auths->items()) {
    std::string_view name = key;
    for (std::string_view scheme : {"https://", "http://"})
      if (name.starts_with(scheme)) name.remove_prefix(scheme.size());
    name = name.substr(0, name.find('/'));
    if (name == host || (host == "docker.io" && name == "index.docker.io")) return true;
  }
  return false;
}

RegistryAccess registry_access(const Reference& reference, const fs::path& folder, const std::string& logins) {
  RegistryAccess out;
  if (reference.local()) return out;
  const std::string host = registry_host(reference);
  std::error_code error;
  const bool ours = !folder.empty();
  if (has_login(logins, host)) out.pod_login = true;
  else if (ours && fs::exists(folder / "auth.json", error)) out.flags.push_back("--authfile=" + (folder / "auth.json").string());
  if (ours && fs::exists(folder / "registries.conf", error)) out.env["CONTAINERS_REGISTRIES_CONF"] = (folder / "registries.conf").string();
  if (ours && has_certificates(folder / "certs.d" / host)) {
    out.flags.push_back("--cert-dir=" + (folder / "certs.d" / host).string());
  } else if (is_loopback(host) && !has_certificates(fs::path("/etc/containers/certs.d") / host) &&
             !has_certificates(fs::path("/etc/docker/certs.d") / host)) {
    out.flags.push_back("--tls-verify=false");
  }
  return out;
}

std::vector<std::string> RegistryAccess::copy_flags() const {
  std::vector<std::string> out;
  for (const std::string& flag : flags) out.push_back("--src-" + flag.substr(2));
  return out;
}

}  // namespace nodevirt::images
