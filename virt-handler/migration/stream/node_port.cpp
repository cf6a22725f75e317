#include "virt-handler/migration/stream/node_port.hpp"

#include <algorithm>
#include <atomic>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>

#include "pkg/base/log.hpp"
#include "pkg/net/port_holder.hpp"
#include "virt-handler/streams/safe_path.hpp"

namespace nodevirt::virt_handler::migration {

namespace asio = boost::asio;

struct NodePort::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Deps d) : deps(std::move(d)), acceptor(deps.executor) {}

  struct Carried {
    Channel channel;
    std::weak_ptr<Pump> pump;  // none: it has ended
  };
  struct Entry {
    Route route;
    std::vector<Carried> streams;
  };

  Deps deps;
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor;
  std::map<std::string, Entry> entries;
  std::size_t openings = 0;
  const std::shared_ptr<std::atomic<std::size_t>> streams = std::make_shared<std::atomic<std::size_t>>(0);

  Awaitable<void> serve(int fd);
  Awaitable<Result<StreamHeader>> hear(std::shared_ptr<net::FdStream> stream, bool tls);
  Result<void> allowed(const StreamHeader& header, const net::FdStream& stream, bool tls);
  Result<Fd> connect_pod(const Route& route, Channel channel) const;
  void move(std::shared_ptr<net::FdStream> stream, Fd pod, const StreamHeader& header);
};

Awaitable<Result<StreamHeader>> NodePort::Impl::hear(std::shared_ptr<net::FdStream> stream, bool tls) {
  if (tls) {
    auto shaken = co_await stream->handshake(deps.tls.server, std::string());
    if (!shaken.ok()) co_return shaken.error();
  }
  auto line = co_await read_line(stream, kMaxHeader);
  if (!line.ok()) co_return line.error();
  co_return parse_header(*line);
}

Result<void> NodePort::Impl::allowed(const StreamHeader& header, const net::FdStream& stream, bool tls) {
  auto found = entries.find(header.migration);
  if (found == entries.end()) return Error{Code::NotFound, "no migration of this uid is expected on this node (now)"};
  const Route& route = found->second.route;
  if (route.instance != header.instance) return Error{Code::FailedPrecondition, "that migration is of another instance"};
  std::erase_if(found->second.streams, [](const Carried& one) { return one.pump.expired(); });
  if (found->second.streams.size() >= deps.max_streams) return Error{Code::ResourceExhausted, "too many streams of one migration"};
  if (tls) return check_peer(stream.identity(), route.source_node);
  if (!deps.tls.server) return {};
  bool bulk = header.channel == Channel::Memory || header.channel == Channel::Disk;
  if (!bulk || route.plain_token.empty() || header.token != route.plain_token)
    return Error{Code::PermissionDenied, "this stream is to come with TLS"};
  return {};
}

Result<Fd> NodePort::Impl::connect_pod(const Route& route, Channel channel) const {
  switch (channel) {
    case Channel::Libvirt: return connect_beneath(route.libvirt_dir, route.libvirt_socket);
    case Channel::Memory:
      if (route.memory_waits) return Error{Code::Unavailable, "QEMU does not listen again yet"};
      return connect_beneath(route.migration_dir, route.memory_socket);
    default: return connect_beneath(route.migration_dir, route.disk_socket);
  }
}

void NodePort::Impl::move(std::shared_ptr<net::FdStream> stream, Fd pod, const StreamHeader& header) {
  // The pump's thread may outlive all else of this.
  std::shared_ptr<std::atomic<std::size_t>> open = streams;
  std::string what = fmt::format("migration {}: {} stream", header.migration, to_string(header.channel));
  auto ended = [open, what](const Pump::Totals& totals) {
    log::debug("{}: {} bytes in, {} out{}{}", what, totals.to_pod, totals.from_pod, totals.error.empty() ? "" : ": ", totals.error);
    --*open;
  };
  ++*streams;
  Entry& entry = entries[header.migration];
  auto pump = Pump::start(stream->release(), pod.release(), ended);
  if (entry.route.patient) pump->be_patient();
  entry.streams.push_back({header.channel, pump});
}

Awaitable<void> NodePort::Impl::serve(int fd) {
  auto self = shared_from_this();
  watch_peer(fd);
  auto stream = std::make_shared<net::FdStream>(deps.executor, fd);
  Deadline deadline(deps.executor, stream, kOpenTimeout);
  // TLS begins with a handshake record (22), everything else we know with '{'.
  char first = 0;
  for (;;) {
    ssize_t n = stream->closed() ? 0 : recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) break;
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      stream->close();
      co_return;
    }
    auto ready = co_await stream->wait_readable();
    if (!ready.ok()) co_return;
  }
  bool tls = deps.tls.server && first == 22;
  auto header = co_await hear(stream, tls);
  Result<void> may = header.ok() ? allowed(*header, *stream, tls) : Result<void>(header.error());
  Fd pod;
  if (may.ok() && header->channel != Channel::Control) {
    auto connected = connect_pod(entries[header->migration].route, header->channel);
    if (connected.ok()) pod = std::move(*connected);
    else may = connected.error();
  }
  std::string answer = may.ok() ? accepted_line() : refused_line(may.error());
  if (!may.ok() && may.error().code == Code::Unavailable) log::debug("migration stream refused: {}", may.error().message);
  else if (!may.ok()) log::warning("migration stream refused: {}", may.error().message);
  auto told = co_await stream->write(answer);
  // Meanwhile it may not be expected any more.
  auto found = may.ok() ? entries.find(header->migration) : entries.end();
  if (!told.ok() || found == entries.end()) {
    stream->close();
    co_return;
  }
  if (header->channel != Channel::Control) {
    move(stream, std::move(pod), *header);
  } else if (auto control = found->second.route.control) {
    control(stream);
  }
}

NodePort::NodePort(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {}
NodePort::~NodePort() = default;

Result<std::uint16_t> NodePort::listen(const std::string& address, std::uint16_t port) {
  boost::system::error_code error;
  auto ip = asio::ip::make_address(address, error);
  if (error) return Error{Code::InvalidArgument, fmt::format("\"{}\" is no IP address", address)};
  asio::ip::tcp::endpoint endpoint(ip, port);
  auto& acceptor = impl_->acceptor;
  std::string what = fmt::format("listen for migrations at {}:{}", address, port);
  acceptor.open(endpoint.protocol(), error);
  if (error) return Error{Code::Unavailable, what + ": " + error.message()};
  int one = 1;
  setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(128, error);
  if (error == asio::error::address_in_use) {
    std::string holder = net::port_holder(port);
    return Error{Code::AlreadyExists, fmt::format("{}: the port is taken{}{}", what, holder.empty() ? "" : " by ", holder)};
  }
  if (error) return Error{Code::Unavailable, what + ": " + error.message()};
  return acceptor.local_endpoint(error).port();
}

Awaitable<void> NodePort::run(StopToken stop) {
  auto impl = impl_;
  auto close = [impl] {
    boost::system::error_code ignored;
    impl->acceptor.close(ignored);
  };
  std::stop_callback on_stop(stop, close);
  while (!stop.stop_requested() && impl->acceptor.is_open()) {
    auto token = asio::as_tuple(asio::use_awaitable);
    auto [error, socket] = co_await impl->acceptor.async_accept(token);
    if (stop.stop_requested()) co_return;
    if (error) {
      log::warning("accept a migration stream: {}", error.message());
      asio::steady_timer pause(impl->deps.executor, std::chrono::milliseconds(100));  // out of descriptors, say
      co_await pause.async_wait(token);
      continue;
    }
    if (impl->openings >= impl->deps.max_openings) continue;  // closes it
    boost::system::error_code ignored;
    int fd = socket.release(ignored);
    auto one = [](std::shared_ptr<Impl> owner, int accepted) -> Awaitable<void> {
      ++owner->openings;
      co_await owner->serve(accepted);
      --owner->openings;
    };
    spawn(impl->deps.executor, one(impl, fd), "migration stream");
  }
}

void NodePort::expect(Route route) {
  auto& entry = impl_->entries[route.migration];
  entry.route = std::move(route);
  if (!entry.route.patient) return;
  for (const auto& one : entry.streams)
    if (auto pump = one.pump.lock()) pump->be_patient();
}

void NodePort::forget(const std::string& migration, bool end_streams) {
  auto found = impl_->entries.find(migration);
  if (found == impl_->entries.end()) return;
  if (end_streams)
    for (const auto& one : found->second.streams)
      if (auto pump = one.pump.lock()) pump->abort();
  impl_->entries.erase(found);
}

NodePort::Flow NodePort::flow(const std::string& migration, Channel channel) const {
  auto found = impl_->entries.find(migration);
  if (found == impl_->entries.end()) return Flow::None;
  Flow best = Flow::None;
  for (const auto& one : found->second.streams)
    if (auto pump = one.channel == channel ? one.pump.lock() : nullptr) best = std::max(best, pump->silent() ? Flow::Silent : Flow::Open);
  return best;
}

std::size_t NodePort::streams() const { return *impl_->streams; }

}  // namespace nodevirt::virt_handler::migration
