// console, vnc and portforward: WebSockets passed through to virt-handler, message by message, with close
// codes and reasons in both directions.
#include <charconv>

#include <boost/asio/as_tuple.hpp>

#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-api/reply.hpp"
#include "virt-api/subresources/instance_rules.hpp"
#include "virt-api/subresources/subresources.hpp"

namespace nodevirt::virt_api {

namespace {

const std::vector<std::string> kProtocols = {"plain.kubevirt.io"};

struct Relay {
  std::shared_ptr<net::WebSocket> client, handler;
  std::shared_ptr<boost::asio::steady_timer> ended;
  int left = 2;
};

Awaitable<void> copy(std::shared_ptr<net::WebSocket> from, std::shared_ptr<net::WebSocket> to) {
  for (;;) {
    auto message = co_await from->read();
    if (!message.ok()) {
      // Cancelled: the other direction has ended, and told its side already.
      if (message.error().code == Code::Cancelled) to->abort();
      else co_await to->close(1011, message.error().message);
      co_return;
    }
    if (message->closed) {
      bool told = message->close_code != 1005 && message->close_code != 1006;
      co_await to->close(told ? message->close_code : message->close_code == 1005 ? 1000 : 1001, message->close_reason);
      co_return;
    }
    auto written = co_await to->write(message->data, message->binary);
    if (!written.ok()) {
      from->abort();
      co_return;
    }
  }
}

Awaitable<void> copy_back(std::shared_ptr<Relay> relay) {
  co_await copy(relay->handler, relay->client);
  relay->handler->abort();
  relay->client->abort();
  if (--relay->left == 0) relay->ended->cancel();
}

Awaitable<void> relay_both(std::shared_ptr<net::WebSocket> client, std::shared_ptr<net::WebSocket> handler) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto relay = std::make_shared<Relay>();
  relay->client = client;
  relay->handler = handler;
  relay->ended = std::make_shared<boost::asio::steady_timer>(executor, boost::asio::steady_timer::time_point::max());
  spawn(executor, copy_back(relay), "virt-api: relay");
  co_await copy(client, handler);
  client->abort();
  handler->abort();
  if (--relay->left > 0) {
    auto [ec] = co_await relay->ended->async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    (void)ec;
  }
}

Awaitable<void> stream(SubresourceDeps& deps, SubresourceRequest& request, Json vmi, std::string verb, std::string query) {
  auto handler = co_await deps.handlers->of_instance(vmi);
  if (!handler.ok()) {
    co_await reply_error(request.response, handler.error());
    co_return;
  }
  net::Request dial;
  dial.target = handler_target(vmi, verb, query);
  auto far = co_await (*handler)->websocket(std::move(dial), kProtocols);
  if (!far.ok()) {
    auto error = far.error();
    if (error.reason.empty() || error.code == Code::Unavailable) error = internal_error("dial virt-handler: " + error.message);
    co_await reply_error(request.response, error);
    co_return;
  }
  // Old clients offer no subprotocol: they get the same stream without one.
  bool offers = request.http.headers.has("Sec-WebSocket-Protocol");
  auto supported = offers ? kProtocols : std::vector<std::string>();
  auto near = co_await request.response.upgrade(std::move(supported));
  if (!near.ok()) {
    std::string gone = "the client did not upgrade";
    co_await (*far)->close(1000, gone);
    co_return;
  }
  std::shared_ptr<net::WebSocket> client = std::move(*near), server = std::move(*far);
  co_await relay_both(client, server);
}

Awaitable<void> stream_instance(SubresourceDeps& deps, SubresourceRequest& request, std::string verb, std::string query) {
  auto vmi = co_await fetch_vmi(deps.client, request.ns, request.name);
  std::optional<Error> refused;
  if (!vmi.ok()) refused = vmi.error();
  else refused = refuse_action(*vmi, verb.substr(0, verb.find('/')));
  if (refused) {
    co_await reply_error(request.response, *refused);
    co_return;
  }
  co_await stream(deps, request, std::move(*vmi), std::move(verb), std::move(query));
}

/// PORT[/tcp|udp]
std::optional<Error> check_port(std::string_view rest) {
  auto slash = rest.find('/');
  auto digits = rest.substr(0, slash);
  auto protocol = slash == std::string_view::npos ? std::string_view("tcp") : rest.substr(slash + 1);
  unsigned port = 0;
  auto r = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (r.ec != std::errc{} || r.ptr != digits.data() + digits.size() || port == 0 || port > 65535)
    return bad_request("portforward: the port must be a number from 1 to 65535");
  if (protocol != "tcp" && protocol != "udp") return bad_request("portforward: the protocol must be tcp or udp");
  return std::nullopt;
}

}  // namespace

Awaitable<void> stream_console(SubresourceDeps& deps, SubresourceRequest request) {
  co_await stream_instance(deps, request, "console", "");
}

Awaitable<void> stream_vnc(SubresourceDeps& deps, SubresourceRequest request) {
  bool preserve = request.http.query().get("preserveSession") == "true";
  co_await stream_instance(deps, request, "vnc", preserve ? "preserveSession=true" : "");
}

Awaitable<void> stream_port(SubresourceDeps& deps, SubresourceRequest request) {
  if (auto wrong = check_port(request.rest)) {
    co_await reply_error(request.response, *wrong);
    co_return;
  }
  if (request.http.raw_path().find("/virtualmachines/") != std::string_view::npos) {
    auto vm = co_await fetch_vm(deps.client, request.ns, request.name);
    std::optional<Error> refused;
    if (!vm.ok()) refused = vm.error();
    else if (!bool_at(*vm, {"status", "created"})) refused = vm_conflict(request.name, "VMI is not started");
    if (refused) {
      co_await reply_error(request.response, *refused);
      co_return;
    }
  }
  co_await stream_instance(deps, request, "portforward/" + request.rest, "");
}

}  // namespace nodevirt::virt_api
