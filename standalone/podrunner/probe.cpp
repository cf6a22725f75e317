#include "standalone/podrunner/probe.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

namespace nodevirt::podrunner {
namespace asio = boost::asio;
using boost::system::error_code;
namespace {

struct Attempt {
  explicit Attempt(const Executor& e) : socket(e), timer(e) {}
  asio::ip::tcp::socket socket;
  asio::steady_timer timer;
  bool timed_out = false;
};

Error probe_error(const std::shared_ptr<Attempt>& attempt, const std::string& what, const error_code& ec) {
  return Error(Code::Unavailable, what + ": " + (attempt->timed_out ? "timed out" : ec.message()));
}

std::string http_request(const ProbeView& probe, const std::string& host) {
  const auto clean = [](std::string_view s) {
    std::string out;
    for (const char c : s)
      if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
    return out;
  };
  std::string path;
  for (const char c : clean(probe.path)) path += c == ' ' ? std::string("%20") : std::string(1, c);
  if (path.empty() || path[0] != '/') path = "/" + path;
  bool has_host = false;
  std::string headers;
  for (const auto& [name, value] : probe.headers) {
    if (name.empty() || name.find(':') != std::string::npos) continue;
    has_host = has_host || name == "Host" || name == "host";
    headers += clean(name) + ": " + clean(value) + "\r\n";
  }
  if (!has_host) headers += "Host: " + host + ":" + std::to_string(probe.port) + "\r\n";
  return "GET " + path + " HTTP/1.1\r\n" + headers + "User-Agent: kube-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

}  // namespace

Awaitable<Result<void>> probe_once(ProbeView probe, std::string pod_ip) {
  const auto executor = co_await asio::this_coro::executor;
  auto attempt = std::make_shared<Attempt>(executor);
  const std::string host = probe.host.empty() ? pod_ip : probe.host;
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  if (ec || probe.port <= 0 || probe.port > 65535) co_return Error(Code::InvalidArgument, "probe: " + host + ":" + std::to_string(probe.port) + " is no address and port");
  attempt->timer.expires_after(std::chrono::seconds(probe.timeout));
  attempt->timer.async_wait([attempt](error_code e) {
    if (e) return;
    attempt->timed_out = true;
    error_code ignored;
    attempt->socket.close(ignored);
  });
  struct Cancel {
    std::shared_ptr<Attempt> attempt;
    ~Cancel() { attempt->timer.cancel(); }
  } cancel{attempt};

  const std::string where = host + ":" + std::to_string(probe.port);
  const asio::ip::tcp::endpoint endpoint(address, static_cast<std::uint16_t>(probe.port));
  auto [connect_error] = co_await attempt->socket.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  if (connect_error) co_return probe_error(attempt, "dial tcp " + where, connect_error);
  if (probe.kind == ProbeView::Kind::TcpSocket) co_return Result<void>{};

  const std::string request = http_request(probe, host);
  auto [write_error, written] = co_await asio::async_write(attempt->socket, asio::buffer(request), asio::as_tuple(asio::use_awaitable));
  if (write_error) co_return probe_error(attempt, "Get http://" + where + probe.path, write_error);
  asio::streambuf answer(16384);
  auto [read_error, length] = co_await asio::async_read_until(attempt->socket, answer, std::string_view("\r\n"), asio::as_tuple(asio::use_awaitable));
  if (read_error) co_return probe_error(attempt, "Get http://" + where + probe.path, read_error);
  const std::string line(asio::buffers_begin(answer.data()), asio::buffers_begin(answer.data()) + static_cast<std::ptrdiff_t>(length));
  const int status = line.size() > 12 && line.starts_with("HTTP/1.") ? std::atoi(line.c_str() + 9) : 0;
  if (status >= 200 && status < 400) co_return Result<void>{};
  co_return Error(Code::Unavailable, "HTTP probe failed with statuscode: " + std::to_string(status));
}

bool ProbeState::record(const ProbeView& probe, bool success) {
  run_ = success == last_ ? run_ + 1 : 1;
  last_ = success;
  if (success == value_ || run_ < (success ? probe.success : probe.failure)) return false;
  value_ = success;
  return true;
}

Awaitable<void> run_probe(ProbeView probe, std::string pod_ip, bool initial, Clock& clock,
                          std::function<void(bool, std::string)> on_result, StopToken stop) {
  ProbeState state(initial);
  const bool waited = co_await clock.sleep(std::chrono::seconds(probe.initial_delay), stop);
  if (!waited) co_return;
  while (!stop.stop_requested()) {
    auto result = co_await probe_once(probe, pod_ip);
    if (stop.stop_requested()) co_return;
    const std::string why = result.ok() ? "" : result.error().message;
    if (state.record(probe, result.ok())) on_result(state.value(), why);
    const bool more = co_await clock.sleep(std::chrono::seconds(probe.period), stop);
    if (!more) co_return;
  }
}

}  // namespace nodevirt::podrunner
