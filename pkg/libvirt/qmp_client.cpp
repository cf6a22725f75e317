#include "pkg/libvirt/qmp_client.hpp"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace nodevirt::libvirt {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kMaxMessage = 1u << 20;
constexpr std::size_t kMaxEvents = 4096;

int left_ms(Clock::time_point until) {
  auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(std::min<long long>(left, 60000));
}

}  // namespace

Result<QmpClient> QmpClient::connect(const std::filesystem::path& socket, milliseconds timeout, bool out_of_band) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = socket.string();
  if (path.size() >= sizeof address.sun_path) return Error(Code::InvalidArgument, "the monitor's path is too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "connect to QEMU's monitor");
  // A connection that QEMU has not accepted yet waits in the backlog; one that finds it full fails at once.
  timeval limit{static_cast<time_t>(timeout.count() / 1000), static_cast<suseconds_t>(timeout.count() % 1000 * 1000)};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT) return Error(Code::NotFound, "QEMU has no monitor at " + path);
    return Error(Code::Unavailable, fmt::format("connect to QEMU's monitor at {}: {}", path, std::strerror(errno)));
  }
  QmpClient client(std::move(fd));
  NV_TRY(Json greeting, client.next_message(Clock::now() + timeout));
  if (!find(greeting, {"QMP"})) return Error(Code::Internal, "QEMU's monitor does not greet");
  Json wanted = Json::object();
  if (out_of_band) wanted["enable"] = Json::array({"oob"});
  auto ready = client.execute("qmp_capabilities", wanted, timeout);
  if (!ready.ok()) return std::move(ready).error();
  return client;
}

QmpClient QmpClient::adopt(Fd fd) {
  QmpClient client(std::move(fd));
  client.torn_ = true;
  client.id_ = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()) >> 10;  // not one of the earlier process's
  return client;
}

// True when something came, false when `until` passed.
Result<bool> QmpClient::receive(Clock::time_point until) {
  pollfd p{fd_.get(), POLLIN, 0};
  int n = ::poll(&p, 1, left_ms(until));
  if (n < 0 && errno != EINTR) return errno_error(errno, "wait for QEMU's monitor");
  if (n <= 0) return false;
  char chunk[16384];
  ssize_t got = ::recv(fd_.get(), chunk, sizeof chunk, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    closed_ = true;
    return Error(Code::Unavailable, "QEMU closed its monitor");
  }
  buffer_.append(chunk, static_cast<std::size_t>(got));
  if (buffer_.size() > kMaxMessage) return Error(Code::ResourceExhausted, "QEMU's monitor says too much");
  return true;
}

Result<Json> QmpClient::next_message(Clock::time_point until) {
  for (;;) {
    if (auto end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (line.empty() || line == "\r") continue;
      auto parsed = parse_json(line, 64);
      if (bool torn = std::exchange(torn_, false); torn && !parsed.ok()) continue;
      NV_TRY(Json message, std::move(parsed));
      if (const Json* event = find(message, {"event"}); event && event->is_string()) {
        if (events_.size() < kMaxEvents) events_.push_back(event->get<std::string>());
        continue;
      }
      return message;
    }
    NV_TRY(bool some, receive(until));
    if (!some && Clock::now() >= until) return Error(Code::Unavailable, "QEMU's monitor does not answer");
  }
}

Result<Json> QmpClient::execute(std::string_view command, const Json& arguments, milliseconds timeout) {
  return call(false, command, arguments, timeout);
}

Result<Json> QmpClient::execute_out_of_band(std::string_view command, const Json& arguments, milliseconds timeout) {
  return call(true, command, arguments, timeout);
}

Result<Json> QmpClient::call(bool out_of_band, std::string_view command, const Json& arguments, milliseconds timeout) {
  auto until = Clock::now() + timeout;
  while (!out_of_band && unanswered_) {
    auto reply = next_message(until);
    if (!reply.ok()) return reply.error().with_context(fmt::format("QMP {}: an earlier command", command));
    if (int_at(*reply, {"id"}, -1) == static_cast<std::int64_t>(unanswered_)) unanswered_ = 0;
  }
  Json request{{out_of_band ? "exec-oob" : "execute", command}, {"id", ++id_}};
  if (!arguments.empty()) request["arguments"] = arguments;
  std::string text = dump_json(request) + "\n";
  for (std::size_t sent = 0; sent < text.size();) {
    ssize_t n = ::send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      closed_ = true;
      return Error(Code::Unavailable, fmt::format("QMP {}: {}", command, std::strerror(errno)));
    }
    sent += static_cast<std::size_t>(n);
  }
  const auto id = static_cast<std::int64_t>(id_);
  if (!out_of_band) unanswered_ = id_;
  for (;;) {
    auto reply = next_message(until);
    if (!reply.ok()) return reply.error().with_context(fmt::format("QMP {}", command));
    std::int64_t answered = int_at(*reply, {"id"}, -1);
    if (unanswered_ && answered == static_cast<std::int64_t>(unanswered_)) unanswered_ = 0;
    if (answered != id) continue;
    if (const Json* error = find(*reply, {"error"}))
      return Error(Code::Internal, fmt::format("QMP {}: {}", command, string_at(*error, {"desc"}, "unknown error")));
    const Json* value = find(*reply, {"return"});
    return value ? *value : Json();
  }
}

Result<std::vector<std::string>> QmpClient::drain_events() {
  for (;;) {
    auto some = receive(Clock::now());
    if (!some.ok()) {
      if (buffer_.find('\n') == std::string::npos && events_.empty()) return std::move(some).error();
      break;
    }
    if (!*some) break;
  }
  while (buffer_.find('\n') != std::string::npos) {
    auto message = next_message(Clock::now());
    if (!message.ok()) break;  // only the rest of a line is left
  }
  return std::exchange(events_, {});
}

}  // namespace nodevirt::libvirt
