// How skopeo is to reach a registry: logins, authorities, and whether TLS is asked for.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "standalone/images/reference.hpp"

namespace nodevirt::images {

/// What is configured, in the order in which it wins:
///   - logins: those given for the pod, when they have one for this registry; FOLDER/auth.json; the machine's own
///     (`skopeo login`, ~/.docker/config.json)
///   - authorities and client certificates: FOLDER/certs.d/HOST[:PORT]/; /etc/containers/certs.d/, /etc/docker/certs.d/
///   - mirrors, insecure registries, blocked ones: FOLDER/registries.conf; /etc/containers/registries.conf
/// A registry at a loopback address needs no TLS unless certificates are configured for it: nobody is in between.
struct RegistryAccess {
  std::vector<std::string> flags;            ///< for `skopeo inspect`; `skopeo copy` wants "--src-" before each name
  std::map<std::string, std::string> env;
  bool pod_login = false;                    ///< the caller's logins are to be written to a file and named

  std::vector<std::string> copy_flags() const;
};

/// `folder` may be empty or missing. Looks at the file system only.
RegistryAccess registry_access(const Reference& reference, const std::filesystem::path& folder, const std::string& logins);

/// "localhost:5000" of "localhost:5000/a/b:c".
std::string registry_host(const Reference& reference);
/// localhost, 127.0.0.0/8.
bool is_loopback(const std::string& host);
/// Whether the document (as ~/.docker/config.json) has a login for the host. Pure.
bool has_login(const std::string& logins, const std::string& host);

}  // namespace nodevirt::images
