#include "virt-controller/app.hpp"

#include <csignal>
#include <iostream>

#include <boost/asio/signal_set.hpp>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/client/kubeconfig.hpp"
#include "pkg/runtime/identity.hpp"
#include "pkg/runtime/leader_election.hpp"
#include "pkg/runtime/signal.hpp"
#include "virt-controller/health.hpp"

namespace nodevirt::virt_controller {

namespace {

namespace asio = boost::asio;

Awaitable<void> elect(Controllers* controllers, client::Client client, bool contend, StopToken stop) {
  if (!contend) {
    co_await controllers->lead(stop);
    co_return;
  }
  runtime::LeaderElectionOptions options;
  options.ns = std::string(api::kSystemNamespace);
  options.name = "virt-controller";
  options.identity = runtime::process_identity();
  options.holder_is_gone = runtime::process_is_gone;
  std::function<Awaitable<void>(StopToken)> lead = [controllers](StopToken s) { return controllers->lead(std::move(s)); };
  co_await runtime::run_as_leader(std::move(client), system_clock(), std::move(options), lead, stop);
}

// Ends the event loop when the last task that has something to put right has done so.
Awaitable<void> work(asio::io_context* io, Controllers* controllers, client::Client client, Options options, StopToken stop) {
  auto executor = io->get_executor();
  spawn(executor, controllers->follow(stop), "caches");
  spawn(executor, serve_health(executor, *controllers, options, stop), "health");
  co_await elect(controllers, std::move(client), options.leader_elect, stop);
  io->stop();
}

Awaitable<void> give_up_after(asio::io_context* io, Clock::Duration patience) {
  StopToken never;
  co_await system_clock().sleep(patience, never);
  log::warning("the API server does not answer: ending without releasing the lease");
  io->stop();
}

}  // namespace

int run(std::vector<std::string> args) {
  if (args.size() == 1 && args[0] == "failpoints") {
    for (const auto& name : failpoint::names()) std::cout << name << "\n";
    return 0;
  }
  auto options = parse_options(args);
  if (!options.ok()) {
    std::cerr << "virt-controller: " << options.error().message << "\n" << usage();
    return 2;
  }
  if (options->help) {
    std::cout << usage();
    return 0;
  }
  log::init("virt-controller");
  std::signal(SIGPIPE, SIG_IGN);

  asio::io_context io(1);
  auto endpoint = client::load_kubeconfig({options->kubeconfig, options->context});
  if (!endpoint.ok()) {
    log::error("{}", endpoint.error().message);
    return 1;
  }
  auto transport = client::make_transport(io.get_executor(), *endpoint);
  if (!transport.ok()) {
    log::error("{}", transport.error().message);
    return 1;
  }
  client::Client client(*transport);
  Controllers controllers(io.get_executor(), client, system_clock(), *options);
  StopSource stop;
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code ec, int) {
    if (ec) return;
    log::info("stopping");
    stop.request_stop();
    spawn(io.get_executor(), give_up_after(&io, std::chrono::seconds(3)), "patience");
  });
  log::info("starting, API server {}", endpoint->server);
  spawn(io.get_executor(), work(&io, &controllers, client, *options, stop.get_token()), "virt-controller");
  io.run();
  return 0;
}

}  // namespace nodevirt::virt_controller
