// virt-api's command line.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_api {

struct Flags {
  std::string kubeconfig;
  std::string listen = "127.0.0.1:0";
  int listen_fd = -1;
  std::string tls_cert, tls_key;
  std::string client_ca, ca_bundle, handler_ca;     ///< files; --ca stands for those that are not given
  std::string handler_cert, handler_key;            ///< --tls-cert and --tls-key when not given
  std::vector<std::string> allowed_cn;
  bool register_self = true;
  bool open_webhooks = false;
  bool help = false;
  std::string help_text;
};
/// InvalidArgument carries the message for the person who typed it.
Result<Flags> parse_flags(std::vector<std::string> args);

}  // namespace nodevirt::virt_api
