#include "virt-handler/migration/stream/pod_sockets.hpp"

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "pkg/base/log.hpp"

namespace nodevirt::virt_handler::migration {

namespace asio = boost::asio;

Result<Fd> listen_in_folder(const std::filesystem::path& folder, const std::string& name, unsigned uid) {
  std::string what = fmt::format("listen at {}", (folder / name).string());
  if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..")
    return Error{Code::InvalidArgument, what + ": no plain name"};
  Fd dir(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) return errno_error(errno, what);
  if (unlinkat(dir.get(), name.c_str(), 0) != 0 && errno != ENOENT) return errno_error(errno, what + ": remove what stands there");
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno_error(errno, what);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = fmt::format("/proc/self/fd/{}/{}", dir.get(), name);
  if (path.size() >= sizeof address.sun_path) return Error{Code::InvalidArgument, what + ": the name is too long"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (fchmod(socket.get(), 0600) != 0) return errno_error(errno, what);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return errno_error(errno, what);
  if (fchownat(dir.get(), name.c_str(), uid, static_cast<gid_t>(-1), AT_SYMLINK_NOFOLLOW) != 0 && geteuid() == 0)
    return errno_error(errno, what + ": give it to the launcher");
  if (::listen(socket.get(), 128) != 0) return errno_error(errno, what);
  return socket;
}

namespace {

constexpr std::chrono::milliseconds kTryAgain{500};

/// Whether the other end of a pod's connection is closed.
bool is_closed(const Fd& fd) {
  pollfd p{fd.get(), POLLRDHUP, 0};
  return ::poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLRDHUP)) != 0;
}

}  // namespace

struct PodSockets::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Deps d) : deps(std::move(d)) {}
  Deps deps;
  std::vector<std::shared_ptr<asio::posix::stream_descriptor>> listeners;
  std::vector<std::weak_ptr<Pump>> pumps;
  const std::shared_ptr<std::atomic<std::size_t>> streams = std::make_shared<std::atomic<std::size_t>>(0);
  const Pump::Counter sent = std::make_shared<std::atomic<std::uint64_t>>(0);
  bool stopped = false, keep_trying = false;

  void be_patient() {
    for (const auto& weak : pumps)
      if (auto pump = weak.lock()) pump->be_patient();
  }
  Awaitable<void> accept(std::shared_ptr<asio::posix::stream_descriptor> listener, Channel channel);
  Awaitable<void> carry(int fd, Channel channel);
};

Awaitable<void> PodSockets::Impl::accept(std::shared_ptr<asio::posix::stream_descriptor> listener, Channel channel) {
  auto self = shared_from_this();
  while (!stopped) {
    auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await listener->async_wait(asio::posix::stream_descriptor::wait_read, token);
    if (error || stopped) co_return;
    for (;;) {
      int fd = accept4(listener->native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) break;
      if (*streams >= deps.max_streams) {
        ::close(fd);
        continue;
      }
      ++*streams;
      // QEMU 7.2 takes the first connection that reaches it for the main one: they arrive in the order they were made in.
      if (channel == Channel::Memory) co_await carry(fd, channel);
      else spawn(deps.executor, carry(fd, channel), "migration stream");
    }
  }
}

Awaitable<void> PodSockets::Impl::carry(int fd, Channel channel) {
  auto self = shared_from_this();
  Fd pod(fd);
  bool bulk = channel == Channel::Memory || channel == Channel::Disk;
  bool plain = bulk && !deps.plain_token.empty();
  StreamTarget target{.address = deps.address, .node = deps.target_node, .plain = plain};
  StreamHeader header{.migration = deps.migration, .instance = deps.instance, .channel = channel, .token = plain ? deps.plain_token : std::string()};
  auto opened = co_await open_stream(target, deps.tls, header);
  while (!opened.ok() && keep_trying && channel == Channel::Memory && !stopped && !is_closed(pod)) {
    log::debug("migration {}: {}", deps.migration, opened.error().message);
    asio::steady_timer timer(deps.executor, kTryAgain);
    auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer.async_wait(token);
    if (stopped) break;
    target.address = deps.address;
    opened = co_await open_stream(target, deps.tls, header);
  }
  if (!opened.ok()) {
    --*streams;
    if (deps.failed) deps.failed(opened.error());
    co_return;
  }
  // The pump's thread may outlive all else of this.
  std::shared_ptr<std::atomic<std::size_t>> open = streams;
  std::string what = fmt::format("migration {}: {} stream", deps.migration, to_string(channel));
  auto ended = [open, what](const Pump::Totals& totals) {
    log::debug("{}: {} bytes out, {} in{}{}", what, totals.from_pod, totals.to_pod, totals.error.empty() ? "" : ": ", totals.error);
    --*open;
  };
  std::erase_if(pumps, [](const auto& pump) { return pump.expired(); });
  pumps.push_back(Pump::start((*opened)->release(), pod.release(), ended, bulk ? sent : nullptr));
  if (keep_trying) be_patient();
}

PodSockets::PodSockets(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {}
PodSockets::~PodSockets() { stop(); }

Result<void> PodSockets::listen(const Names& names) {
  const std::pair<Channel, const std::string*> all[] = {{Channel::Libvirt, &names.libvirt}, {Channel::Memory, &names.memory}, {Channel::Disk, &names.disk}};
  for (auto [channel, name] : all) {
    NV_TRY(Fd socket, listen_in_folder(impl_->deps.folder, *name, impl_->deps.launcher_uid));
    auto listener = std::make_shared<asio::posix::stream_descriptor>(impl_->deps.executor, socket.release());
    impl_->listeners.push_back(listener);
    spawn(impl_->deps.executor, impl_->accept(listener, channel), "migration sockets");
  }
  return {};
}

void PodSockets::keep_trying(const std::string& address) {
  impl_->deps.address = address;
  impl_->keep_trying = true;
  impl_->be_patient();
}

void PodSockets::stop() {
  impl_->stopped = true;
  impl_->deps.failed = nullptr;
  for (const auto& listener : impl_->listeners) {
    boost::system::error_code ignored;
    listener->close(ignored);
  }
  impl_->listeners.clear();
}

void PodSockets::end_streams() {
  for (const auto& weak : impl_->pumps)
    if (auto pump = weak.lock()) pump->abort();
}

std::function<void()> PodSockets::ending_these() const {
  return [these = impl_->pumps] {
    for (const auto& weak : these)
      if (auto pump = weak.lock()) pump->abort();
  };
}

std::size_t PodSockets::streams() const { return *impl_->streams; }

std::uint64_t PodSockets::sent() const { return *impl_->sent; }

}  // namespace nodevirt::virt_handler::migration
