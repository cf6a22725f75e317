// The text of kubeconfig files with everything embedded.
#pragma once
#include <string>

#include "standalone/pki/certificate.hpp"

namespace nodevirt::pki {

/// One cluster, one user, one context, all of them named `name`.
std::string render_kubeconfig(const std::string& name, const std::string& server, const std::string& ca_pem,
                              const KeyPair& client);

std::string base64(std::string_view bytes);

}  // namespace nodevirt::pki
