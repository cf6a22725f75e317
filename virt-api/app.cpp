#include "virt-api/app.hpp"

#include <charconv>
#include <cstdlib>
#include <iostream>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "pkg/client/kubeconfig.hpp"
#include "virt-api/flags.hpp"
#include "virt-api/registration/register.hpp"
#include "virt-api/request_header_auth.hpp"
#include "virt-api/server.hpp"

namespace nodevirt::virt_api {

namespace {

struct Certificates {
  net::TlsServerOptions server;
  net::TlsClientOptions handler;
  std::string ca_bundle;
};

Result<Certificates> read_certificates(const Flags& flags) {
  Certificates out;
  NV_TRY(out.server.certificate_pem, read_file(flags.tls_cert));
  NV_TRY(out.server.private_key_pem, read_file(flags.tls_key));
  NV_TRY(out.server.client_ca_pem, read_file(flags.client_ca));
  NV_TRY(out.handler.certificate_pem, read_file(flags.handler_cert));
  NV_TRY(out.handler.private_key_pem, read_file(flags.handler_key));
  NV_TRY(out.handler.ca_pem, read_file(flags.handler_ca));
  out.handler.server_name = "virt-handler";
  if (flags.register_self) {
    NV_TRY(out.ca_bundle, read_file(flags.ca_bundle));
  }
  return out;
}

Result<void> listen(net::HttpServer& server, const Flags& flags) {
  if (flags.listen_fd >= 0) return server.adopt_listener(flags.listen_fd);
  auto colon = flags.listen.rfind(':');
  std::uint16_t port = 0;
  auto* end = flags.listen.data() + flags.listen.size();
  if (colon == std::string::npos || std::from_chars(flags.listen.data() + colon + 1, end, port).ptr != end)
    return Error(Code::InvalidArgument, "--listen must be ADDRESS:PORT, not " + flags.listen);
  auto address = flags.listen.substr(0, colon);
  if (address.size() > 2 && address.front() == '[') address = address.substr(1, address.size() - 2);
  NV_TRY(auto bound, server.listen_tcp(address, port));
  log::info("serving on {}:{}", address, bound);
  return {};
}

/// On a real cluster the front proxy's CA comes from the cluster itself; waits until it can be had.
Awaitable<Result<void>> adopt_cluster_auth(client::Client client, net::TlsServerOptions& tls, std::set<std::string>& names,
                                           StopToken stop) {
  auto pause = std::chrono::milliseconds(100);
  for (;;) {
    auto auth = co_await request_header_auth(client);
    if (auth.ok()) {
      tls.client_ca_pem += "\n" + auth->client_ca_pem;
      names.insert(auth->allowed_names.begin(), auth->allowed_names.end());
      co_return Result<void>{};
    }
    if (auth.error().code == Code::NotFound || auth.error().code == Code::FailedPrecondition) co_return auth.error();
    log::warning("read the cluster's front proxy CA: {}; trying again", auth.error().message);
    bool slept = co_await system_clock().sleep(pause, stop);
    if (!slept) co_return Error(Code::Cancelled, "stopped");
    pause = std::min(pause * 2, std::chrono::milliseconds(2000));
  }
}

Awaitable<void> serve(Flags flags, Certificates certificates, client::Client client, bool in_cluster, StopSource stop, int& exit_code) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto state = std::make_shared<ServerState>(ServerState{{client, nullptr}, {flags.allowed_cn.begin(), flags.allowed_cn.end()},
                                                         flags.open_webhooks || in_cluster, std::make_shared<bool>(!flags.register_self), {}});
  if (in_cluster) {
    auto adopted = co_await adopt_cluster_auth(client, certificates.server, state->allowed_cns, stop.get_token());
    if (!adopted.ok()) log::warning("{}; subresources answer only {}", adopted.error().message, fmt::join(state->allowed_cns, ", "));
  }
  auto handler_tls = net::make_client_context(certificates.handler);
  auto server_tls = net::make_server_context(certificates.server);
  if (!handler_tls.ok() || !server_tls.ok()) {
    log::error("certificates: {}", handler_tls.ok() ? server_tls.error().message : handler_tls.error().message);
    exit_code = 1;
    co_return;
  }
  state->subresources.handlers = std::make_shared<Handlers>(executor, client, *handler_tls);
  net::HttpServer::Options options;
  options.tls = *server_tls;
  options.max_body = 16u << 20;  // conversion reviews of long lists
  net::HttpServer server(executor, options, make_handler(state));
  auto listening = listen(server, flags);
  if (!listening.ok()) {
    log::error("{}", listening.error().message);
    exit_code = 1;
    co_return;
  }
  if (flags.register_self)
    spawn(executor, register_all(client, system_clock(), registrations(certificates.ca_bundle), state->ready, stop.get_token()), "virt-api: register");
  co_await server.run(stop.get_token());
}

}  // namespace

int run(std::vector<std::string> args) {
  auto flags = parse_flags(std::move(args));
  if (!flags.ok()) {
    std::cerr << "virt-api: " << flags.error().message << "\n";
    return 2;
  }
  if (flags->help) {
    std::cout << flags->help_text;
    return 0;
  }
  log::init("virt-api");
  auto certificates = read_certificates(*flags);
  auto endpoint = client::load_kubeconfig({flags->kubeconfig, ""});
  if (!certificates.ok() || !endpoint.ok()) {
    log::error("{}", certificates.ok() ? endpoint.error().message : certificates.error().message);
    return 1;
  }
  bool in_cluster = flags->kubeconfig.empty() && !endpoint->token_file.empty() && std::getenv("KUBERNETES_SERVICE_HOST");
  boost::asio::io_context io(1);
  auto transport = client::make_transport(io.get_executor(), *endpoint);
  if (!transport.ok()) {
    log::error("{}", transport.error().message);
    return 1;
  }
  StopSource stop;
  int exit_code = 0;
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&stop](boost::system::error_code ec, int) {
    if (!ec) stop.request_stop();
  });
  auto work = serve(*flags, *certificates, client::Client(*transport), in_cluster, stop, exit_code);
  boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr e) {
    signals.cancel();
    stop.request_stop();
    if (e) std::rethrow_exception(e);
  });
  io.run();
  return exit_code;
}

}  // namespace nodevirt::virt_api
