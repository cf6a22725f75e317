#include "virt-api/flags.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace nodevirt::virt_api {

Result<Flags> parse_flags(std::vector<std::string> args) {
  Flags f;
  std::string ca;
  bool no_register = false, asked_to_register = false;
  CLI::App app("The API of virtual machines: subresources, admission and conversion for kubevirt.io.", "virt-api");
  app.add_option("--kubeconfig", f.kubeconfig, "How to reach the API server; in a pod, its service account");
  app.add_option("--listen", f.listen, "ADDRESS:PORT to serve on; port 0 chooses one, which is logged");
  app.add_option("--listen-fd", f.listen_fd, "A listening socket that was inherited, instead of --listen");
  app.add_option("--tls-cert", f.tls_cert, "Server certificate (PEM)")->required();
  app.add_option("--tls-key", f.tls_key, "Its private key (PEM)")->required();
  app.add_option("--ca", ca, "The CA for all of the following that are not given");
  app.add_option("--client-ca", f.client_ca, "CA of the API server's client certificate");
  app.add_option("--ca-bundle", f.ca_bundle, "CA of --tls-cert, written into what is registered");
  app.add_option("--handler-ca", f.handler_ca, "CA of virt-handler's certificates");
  app.add_option("--handler-cert", f.handler_cert, "Client certificate towards virt-handler; --tls-cert when not given");
  app.add_option("--handler-key", f.handler_key, "Its private key");
  app.add_option("--allowed-cn", f.allowed_cn, "Common name of the API server's client certificate (apiserver-client); may be repeated");
  app.add_flag("--register", asked_to_register, "Apply webhook configurations, APIServices and conversion at the start (the default)");
  app.add_flag("--no-register", no_register, "Do not");
  app.add_flag("--open-webhooks", f.open_webhooks,
               "Answer webhooks without a client certificate, as Kubernetes' API server calls them (the default in a pod)");
  try {
    std::reverse(args.begin(), args.end());
    app.parse(args);
  } catch (const CLI::CallForHelp&) {
    f.help = true;
    f.help_text = app.help();
    return f;
  } catch (const CLI::ParseError& e) {
    return Error(Code::InvalidArgument, std::string(e.what()) + "; see virt-api --help");
  }
  for (auto* file : {&f.client_ca, &f.ca_bundle, &f.handler_ca})
    if (file->empty()) *file = ca;
  if (f.handler_cert.empty()) f.handler_cert = f.tls_cert;
  if (f.handler_key.empty()) f.handler_key = f.tls_key;
  if (f.allowed_cn.empty()) f.allowed_cn = {"apiserver-client"};
  f.register_self = !no_register;
  if (f.client_ca.empty() || f.handler_ca.empty() || (f.register_self && f.ca_bundle.empty()))
    return Error(Code::InvalidArgument, "--ca is missing (or --client-ca, --ca-bundle and --handler-ca); see virt-api --help");
  return f;
}

}  // namespace nodevirt::virt_api
