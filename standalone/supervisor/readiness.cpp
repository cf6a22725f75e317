#include "standalone/supervisor/readiness.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/names.hpp"

namespace nodevirt::supervisor {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(15);
constexpr auto kDoubtEvery = std::chrono::milliseconds(100);

Awaitable<bool> serves(std::shared_ptr<net::HttpClient> http) {
  net::Request request;
  request.target = "/readyz";
  auto answer = co_await http->send(std::move(request));
  co_return answer.ok() && answer->status == 200;
}

Awaitable<bool> api_ready(client::Client api) {
  net::Request request;
  request.target = "/readyz";
  auto answer = co_await api.raw(std::move(request));
  co_return answer.ok() && answer->status == 200;
}

/// A plain TCP health port (virt-controller's) or a TLS one (virt-api's).
std::shared_ptr<net::HttpClient> local_client(Executor executor, std::uint16_t port, const std::string& ca_pem) {
  net::HttpClient::Options o;
  o.host = "127.0.0.1";
  o.port = port;
  o.connect_timeout = o.request_timeout = std::chrono::milliseconds(2000);
  if (!ca_pem.empty()) {
    net::TlsClientOptions tls;
    tls.ca_pem = ca_pem;
    auto context = net::make_client_context(tls);
    if (context.ok()) o.tls = *context;
  }
  return std::make_shared<net::HttpClient>(executor, std::move(o));
}

Awaitable<bool> node_ready(client::Client api, std::string name, bool for_guests) {
  auto node = co_await api.get(k8s::resources::kNodes, "", name);
  if (!node.ok()) co_return false;
  if (for_guests) {
    const Json* labels = find(*node, {"metadata", "labels"});
    co_return labels && string_at(*labels, {api::kSchedulableLabel}) == "true";
  }
  const Json* conditions = find(*node, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) co_return false;
  for (const Json& c : *conditions)
    if (string_at(c, {"type"}) == "Ready") co_return string_at(c, {"status"}) == "True";
  co_return false;
}

}  // namespace

namespace {

/// Shared by the two coroutines: a question may hang (a dead server's socket still takes connections), and whoever
/// waits must hear of it all the same.
struct Wait {
  Wait(Executor executor, ReadinessOptions options) : o(std::move(options)), wake(executor) {}
  ReadinessOptions o;
  boost::asio::steady_timer wake;
  std::optional<Result<void>> result;
  bool given_up = false;
};

Awaitable<Result<void>> reach_all(Clock& clock, std::shared_ptr<Wait> w) {
  const Clock::Time deadline = clock.now() + w->o.patience;
  StopSource never;
  for (const Milestone& m : w->o.milestones) {
    for (;;) {
      Awaitable<bool> question = m.ask();
      if (co_await std::move(question)) break;
      if (w->given_up) co_return Error{Code::Cancelled, m.program, "given up"};
      if (clock.now() >= deadline) co_return Error{Code::DeadlineExceeded, m.program, fmt::format("{} is not ready", m.line)};
      co_await clock.sleep(kInterval, never.get_token());
    }
    if (w->given_up) co_return Error{Code::Cancelled, m.program, "given up"};
    double seconds = std::chrono::duration<double>(clock.now() - w->o.began).count();
    w->o.print(fmt::format("[ok] {} ({:.2f} s)", m.line, seconds));
  }
  co_return Result<void>{};
}

Awaitable<void> reach_and_tell(Clock& clock, std::shared_ptr<Wait> w) {
  w->result = co_await reach_all(clock, w);
  w->wake.cancel();
}

}  // namespace

Awaitable<Result<void>> wait_until_ready(Clock& clock, ReadinessOptions o) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto w = std::make_shared<Wait>(executor, std::move(o));
  nodevirt::spawn(executor, reach_and_tell(clock, w), "readiness");
  while (!w->result) {
    w->wake.expires_after(kDoubtEvery);
    co_await w->wake.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (w->result || !w->o.hopeless) continue;
    if (std::string why = w->o.hopeless(); !why.empty()) {
      w->given_up = true;
      co_return Error{Code::Aborted, why};
    }
  }
  co_return *w->result;
}

std::vector<Milestone> milestones_of(const std::vector<Program>& programs, client::Client api, Executor executor,
                                     const std::string& ca_pem, std::uint16_t virt_api_port, std::uint16_t virt_controller_port) {
  std::vector<Milestone> out, later;
  for (const Program& p : programs) {
    if (p.name == "apiserver") {
      out.push_back({p.name, p.title, [api] { return api_ready(api); }});
    } else if (p.name == "virt-api") {
      auto http = local_client(executor, virt_api_port, ca_pem);
      out.push_back({p.name, p.title, [http] { return serves(http); }});
    } else if (p.name == "virt-controller") {
      auto http = local_client(executor, virt_controller_port, "");
      out.push_back({p.name, p.title, [http] { return serves(http); }});
    } else if (p.name.starts_with("node-")) {
      out.push_back({p.name, p.title, [api, name = p.name.substr(5)] { return node_ready(api, name, false); }});
    } else if (p.name.starts_with("virt-handler-")) {
      later.push_back({p.name, p.title, [api, name = p.name.substr(13)] { return node_ready(api, name, true); }});
    }
  }
  out.insert(out.end(), later.begin(), later.end());
  return out;
}

}  // namespace nodevirt::supervisor
