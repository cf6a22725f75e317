#include "standalone/supervisor/api_door.hpp"

#include <unistd.h>

#include "pkg/client/kubeconfig.hpp"

namespace nodevirt::supervisor {

Result<std::unique_ptr<ApiDoor>> ApiDoor::open(const DataDir& data) {
  const std::string path = data.kubeconfig().string();
  if (access(path.c_str(), R_OK) != 0) {
    if (errno == EACCES) return Error{Code::PermissionDenied, fmt::format("{} belongs to the administrator: run this with sudo, or as its owner", path)};
    return Error{Code::NotFound, fmt::format("{} does not exist: nothing was set up in {} yet (`nodevirt up` does)", path, data.root.string())};
  }
  std::unique_ptr<ApiDoor> door(new ApiDoor);
  client::KubeconfigOptions where;
  where.path = path;
  NV_TRY(client::Endpoint endpoint, client::load_kubeconfig(where));
  NV_TRY(door->transport_, client::make_transport(door->io_.get_executor(), endpoint));
  return door;
}

Result<Json> ApiDoor::call(std::function<Awaitable<Result<Json>>(client::Client&)> what) {
  // What is given up goes on in the background of later calls, so that all it touches is its own.
  struct Pending {
    Result<Json> out = Error{Code::Unknown, "no answer"};
    bool ended = false;
  };
  auto pending = std::make_shared<Pending>();
  auto task = [](std::function<Awaitable<Result<Json>>(client::Client&)> f, client::Client api, std::shared_ptr<Pending> into) -> Awaitable<void> {
    Awaitable<Result<Json>> answer = f(api);
    into->out = co_await std::move(answer);
  };
  auto on_end = [pending](std::exception_ptr) { pending->ended = true; };
  boost::asio::co_spawn(io_, task(std::move(what), client::Client(transport_), pending), on_end);
  io_.restart();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!pending->ended && io_.run_one_until(deadline) > 0) {
  }
  if (!pending->ended) return Error{Code::Unavailable, fmt::format("no answer within {} s", std::chrono::duration_cast<std::chrono::seconds>(patience).count())};
  return std::move(pending->out);
}

Result<Json> ApiDoor::list(const k8s::Resource& r, const std::string& label_selector) {
  return call([r, label_selector](client::Client& api) -> Awaitable<Result<Json>> {
    client::ListOptions o;
    o.label_selector = label_selector;
    return api.list(r, "", o);
  });
}

}  // namespace nodevirt::supervisor
