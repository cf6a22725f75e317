#include "virt-handler/streams/server.hpp"

#include <fmt/format.h>

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-handler/streams/guest_info.hpp"
#include "virt-handler/streams/png.hpp"
#include "virt-handler/streams/pod_connect.hpp"
#include "virt-handler/streams/safe_path.hpp"

namespace nodevirt::virt_handler {
namespace {

net::Response text_response(int status, std::string type, std::string body) {
  net::Response out;
  out.status = status;
  out.headers.set("Content-Type", std::move(type));
  out.body = std::move(body);
  return out;
}

net::Response error_response(const Error& error) {
  return text_response(k8s::http_status(error), "application/json", dump_json(k8s::status_object(error)));
}

net::Response json_response(const Json& value) { return text_response(200, "application/json", dump_json(value)); }

rpc::DomainCommand command_of(Action action) {
  switch (action) {
    case Action::Unpause: return rpc::DomainCommand::Unpause;
    case Action::Reset: return rpc::DomainCommand::Reset;
    case Action::SoftReboot: return rpc::DomainCommand::SoftReboot;
    default: return rpc::DomainCommand::Pause;
  }
}

std::vector<std::string> subprotocols() { return {"plain.kubevirt.io"}; }

// Who is gone before the answer needs none.
Awaitable<void> tell(net::ResponseStream& response, net::Response answer) {
  auto sent = co_await response.send(std::move(answer));
  if (!sent.ok()) log::debug("stream server: answer: {}", sent.error().message);
}

}  // namespace

struct StreamServer::Impl {
  explicit Impl(Deps d) : deps(std::move(d)) {}
  Deps deps;

  Result<std::shared_ptr<Launcher>> find_launcher(const Route& route, const std::string& uid) const;
  Awaitable<void> stream(Route route, std::shared_ptr<Launcher> launcher, bool preserve, net::ResponseStream& response);
  Awaitable<void> port_forward(Route route, std::shared_ptr<Launcher> launcher, net::ResponseStream& response);
  Awaitable<Result<net::Response>> answer(Route route, std::shared_ptr<Launcher> launcher);
  Awaitable<Result<net::Response>> about_guest(Action action, std::shared_ptr<rpc::LauncherClient> client, launcher::v1::DomainRequest request);
  bool served_plainly(const net::ServerRequest& request, net::Response& out) const;
};

Result<std::shared_ptr<Launcher>> StreamServer::Impl::find_launcher(const Route& route, const std::string& uid) const {
  std::shared_ptr<Launcher> best;
  bool other = false;
  for (const std::shared_ptr<Launcher>& launcher : deps.launchers.of_key(route.key())) {
    if (launcher->pod_gone || launcher->pod->ended() || launcher != deps.launchers.of_instance(launcher->pod->instance_uid)) continue;
    if (!uid.empty() && launcher->pod->instance_uid != uid) {
      other = true;
      continue;
    }
    if (!best || launcher->connected) best = launcher;
  }
  if (best) return best;
  if (other)
    return Error{Code::Aborted, "Conflict", fmt::format("the instance {} was replaced by a new one: connect again", route.key())};
  return Error{Code::NotFound, "NotFound", fmt::format("the instance {} does not run on this node", route.key())};
}

Awaitable<void> StreamServer::Impl::stream(Route route, std::shared_ptr<Launcher> launcher, bool preserve, net::ResponseStream& response) {
  bool vnc = route.action == Action::Vnc;
  const std::string& uid = launcher->pod->instance_uid;
  std::string what = uid + (vnc ? "/vnc" : "/console");
  std::optional<Error> refused;
  if (preserve && deps.viewers.watched(what))
    refused = Error{Code::Unavailable, "ServiceUnavailable", "somebody else looks at this screen, and the session is to be preserved"};
  std::filesystem::path base = deps.launchers.empty_dir(*launcher->pod, "private");
  Fd fd;
  if (!refused) {
    auto connected = connect_beneath(base, uid + (vnc ? "/virt-vnc" : "/virt-serial0"));
    if (connected.ok()) fd = std::move(*connected);
    else if (connected.error().code == Code::NotFound)
      refused = Error{Code::FailedPrecondition, "Conflict",
                      fmt::format("the instance {} has no {}: it does not run yet, or was made without one", route.key(),
                                  vnc ? "graphics device" : "serial console")};
    else refused = connected.error();
  }
  if (refused) {
    net::Response answer = error_response(*refused);
    co_await tell(response, std::move(answer));
    co_return;
  }
  Executor executor = co_await boost::asio::this_coro::executor;
  std::shared_ptr<net::ByteStream> guest = net::adopt_socket(executor, fd.release());
  std::vector<std::string> offered = subprotocols();
  auto socket = co_await response.upgrade(std::move(offered));
  if (!socket.ok()) co_return;
  co_await deps.viewers.view(what, std::move(*socket), guest);
}

Awaitable<void> StreamServer::Impl::port_forward(Route route, std::shared_ptr<Launcher> launcher, net::ResponseStream& response) {
  std::string address = launcher->interfaces.empty() ? std::string() : launcher->interfaces.front().guest_ip();
  auto guest = co_await connect_guest(launcher->pid, address, route.port, route.udp);
  if (!guest.ok()) {
    net::Response answer = error_response(guest.error());
    co_await tell(response, std::move(answer));
    co_return;
  }
  std::vector<std::string> offered = subprotocols();
  auto socket = co_await response.upgrade(std::move(offered));
  if (!socket.ok()) co_return;
  std::string reason = "the guest ended the connection";
  std::shared_ptr<net::WebSocket> shared = std::move(*socket);
  co_await Viewers::relay(shared, *guest, reason);
}

Awaitable<Result<net::Response>> StreamServer::Impl::about_guest(Action action, std::shared_ptr<rpc::LauncherClient> client,
                                                                launcher::v1::DomainRequest request) {
  auto info = co_await client->get_guest_info(request);
  if (!info.ok()) co_return info.error();
  if (action == Action::UserList) co_return json_response(user_list(*info));
  if (action == Action::FilesystemList) co_return json_response(filesystem_list(*info));
  co_return json_response(guest_os_info(*info));
}

Awaitable<Result<net::Response>> StreamServer::Impl::answer(Route route, std::shared_ptr<Launcher> launcher) {
  std::shared_ptr<rpc::LauncherClient> client = launcher->client;
  if (!client)
    co_return Error{Code::Unavailable, "ServiceUnavailable", fmt::format("the launcher of {} does not answer: try again", route.key())};
  launcher::v1::DomainRequest request = launcher->request();
  switch (route.action) {
    case Action::VncScreenshot: {
      auto shot = co_await client->get_screenshot(request);
      if (!shot.ok()) co_return shot.error();
      auto png = png_of_ppm(shot->ppm());
      if (!png.ok()) co_return png.error();
      co_return text_response(200, "image/png", std::move(*png));
    }
    case Action::GuestOsInfo:
    case Action::UserList:
    case Action::FilesystemList: co_return co_await about_guest(route.action, client, request);
    default: break;
  }
  rpc::DomainCommand command = command_of(route.action);
  auto done = co_await client->command(command, request);
  if (!done.ok()) co_return done.error();
  net::Response accepted;
  accepted.status = 202;
  co_return accepted;
}

bool StreamServer::Impl::served_plainly(const net::ServerRequest& request, net::Response& out) const {
  std::string path = request.path();
  if (path == "/healthz") out = text_response(200, "text/plain", "ok");
  else if (path == "/readyz") out = deps.ready() ? text_response(200, "text/plain", "ok") : text_response(503, "text/plain", "not ready yet\n");
  else return false;
  return true;
}

StreamServer::StreamServer(Deps deps) : impl_(std::make_unique<Impl>(std::move(deps))) {}
StreamServer::~StreamServer() = default;

Awaitable<void> StreamServer::handle(net::ServerRequest& request, net::ResponseStream& response) {
  Impl& impl = *impl_;
  net::Response answer;
  if (request.path() == "/metrics") {
    std::string text = co_await impl.deps.metrics();
    answer = text_response(200, "text/plain; version=0.0.4", std::move(text));
    co_await tell(response, std::move(answer));
    co_return;
  }
  if (impl.served_plainly(request, answer)) {
    co_await tell(response, std::move(answer));
    co_return;
  }
  const std::string& wanted = impl.deps.client_name;
  if (!wanted.empty() && (!request.peer.certificate || request.peer.certificate->common_name != wanted)) {
    answer = error_response({Code::PermissionDenied, "Forbidden", "only " + wanted + " may ask here, with its certificate"});
    co_await tell(response, std::move(answer));
    co_return;
  }
  auto route = parse_route(request.method, request.path());
  std::optional<Error> refused;
  std::shared_ptr<Launcher> launcher;
  net::Query query = request.query();
  if (!route.ok()) refused = route.error();
  else if (auto found = impl.find_launcher(*route, query.get_or("uid", "")); found.ok()) launcher = *found;
  else refused = found.error();
  if (refused) {
    answer = error_response(*refused);
    co_await tell(response, std::move(answer));
    co_return;
  }
  if (route->action == Action::Console || route->action == Action::Vnc) {
    bool preserve = query.get_or("preserveSession", "false") == "true";
    co_await impl.stream(*route, launcher, preserve, response);
    co_return;
  }
  if (route->action == Action::PortForward) {
    co_await impl.port_forward(*route, launcher, response);
    co_return;
  }
  auto answered = co_await impl.answer(*route, launcher);
  answer = answered.ok() ? std::move(*answered) : error_response(answered.error());
  co_await tell(response, std::move(answer));
}

}  // namespace nodevirt::virt_handler
