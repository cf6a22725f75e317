#include "virt-controller/health.hpp"

#include <charconv>

#include "pkg/base/log.hpp"
#include "pkg/net/http_server.hpp"
#include "virt-controller/migration/metrics.hpp"

namespace nodevirt::virt_controller {

namespace {

net::Response answer(const net::Request& request, const Controllers& controllers) {
  net::Response r;
  r.headers.set("Content-Type", "text/plain; version=0.0.4");
  std::string path = request.path();
  if (request.method != "GET" && request.method != "HEAD") {
    r.status = 405;
  } else if (path == "/healthz") {
    r.body = "ok\n";
  } else if (path == "/readyz") {
    bool ready = controllers.synced();
    r.status = ready ? 200 : 503;
    r.body = ready ? "ok\n" : "the caches are not complete yet\n";
  } else if (path == "/metrics") {
    r.body = metrics(controllers);
  } else {
    r.status = 404;
    r.body = "not found\n";
  }
  return r;
}

Awaitable<void> handle(net::ServerRequest& request, net::ResponseStream& response, const Controllers& controllers) {
  net::Response r = answer(request, controllers);
  auto sent = co_await response.send(std::move(r));
  (void)sent;
}

Result<void> listen(net::HttpServer& server, const Options& o) {
  if (o.listen_fd >= 0) return server.adopt_listener(o.listen_fd);
  auto colon = o.listen.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string::npos) {
    auto [end, error] = std::from_chars(o.listen.data() + colon + 1, o.listen.data() + o.listen.size(), port);
    if (error != std::errc() || end != o.listen.data() + o.listen.size()) colon = std::string::npos;
  }
  if (colon == std::string::npos)
    return Error(Code::InvalidArgument, fmt::format("--listen: \"{}\" is not ADDRESS:PORT", o.listen));
  auto bound = server.listen_tcp(o.listen.substr(0, colon), port);
  if (!bound.ok()) return bound.error();
  return {};
}

}  // namespace

std::string metrics(const Controllers& controllers) {
  std::string out = "# HELP kubevirt_number_of_vms Virtual machines by namespace\n# TYPE kubevirt_number_of_vms gauge\n";
  std::map<std::string, int> machines;
  for (const auto& m : controllers.context().machines.list()) ++machines[m->meta.ns];
  for (const auto& [ns, n] : machines) out += fmt::format("kubevirt_number_of_vms{{namespace=\"{}\"}} {}\n", ns, n);
  out += "# HELP kubevirt_vmi_phase_count Instances by phase and node\n# TYPE kubevirt_vmi_phase_count gauge\n";
  std::map<std::pair<std::string, std::string>, int> phases;
  for (const auto& i : controllers.context().instances.list()) ++phases[{i->phase, i->node}];
  for (const auto& [key, n] : phases) {
    std::string phase = key.first;
    std::transform(phase.begin(), phase.end(), phase.begin(), [](unsigned char c) { return std::tolower(c); });
    out += fmt::format("kubevirt_vmi_phase_count{{phase=\"{}\",node=\"{}\"}} {}\n", phase, key.second, n);
  }
  out += fmt::format("# TYPE kubevirt_virt_controller_leading_status gauge\nkubevirt_virt_controller_leading_status {}\n", controllers.leading() ? 1 : 0);
  out += fmt::format("# TYPE kubevirt_virt_controller_ready_status gauge\nkubevirt_virt_controller_ready_status {}\n", controllers.synced() ? 1 : 0);
  out += migration::metrics(controllers.migrations());
  return out;
}

Awaitable<void> serve_health(Executor executor, const Controllers& controllers, Options options, StopToken stop) {
  if (options.listen.empty() && options.listen_fd < 0) co_return;
  net::HttpServer::Options http;
  http.max_body = 64u << 10;
  const Controllers* all = &controllers;
  net::Handler handler = [all](net::ServerRequest& q, net::ResponseStream& a) -> Awaitable<void> { return handle(q, a, *all); };
  net::HttpServer server(executor, http, handler);
  auto ready = listen(server, options);
  if (!ready.ok()) {
    log::error("health server: {}", ready.error().message);
    co_return;
  }
  co_await server.run(stop);
}

}  // namespace nodevirt::virt_controller
