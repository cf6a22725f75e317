#include "standalone/dns/server.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include "pkg/base/log.hpp"
#include "standalone/dns/upstream.hpp"

namespace nodevirt::dns {
namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
namespace {

constexpr std::size_t kMaxQuery = 4096;   // of UDP; TCP's are bounded the same, a question is small
constexpr auto kIdle = std::chrono::seconds(10);

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(Executor e, ServerOptions o, const Records& r) : executor(e), options(std::move(o)), records(r), datagrams(e), acceptor(e) {}

  /// The answer's bytes; empty: none is to be sent.
  static Awaitable<std::string> answer(std::shared_ptr<Impl> me, std::string message, bool over_tcp) {
    auto query = parse_query(message);
    if (!query.ok()) {
      auto id = message_id(message);
      const bool is_answer = message.size() > 2 && (static_cast<unsigned char>(message[2]) & 0x80);
      co_return id && !is_answer ? encode_error(*id, kFormatError) : std::string();   // never answer an answer
    }
    const std::size_t limit = over_tcp ? 65535 : query->udp_size;
    Answer own;
    own.authoritative = false;
    if (query->opcode != 0) {
      own.code = kNotImplemented;
      co_return encode_response(*query, own, limit);
    }
    if (query->question.klass == kInternet)
      if (auto known = resolve(query->question, me->records, me->options.zone)) co_return encode_response(*query, *known, limit);
    own.code = kServerFailure;
    if (me->options.upstreams.empty() || me->forwarding >= me->options.max_forwarded) co_return encode_response(*query, own, limit);
    ++me->forwarding;
    UpstreamOptions upstream{me->options.upstreams, me->options.upstream_netns_fd, me->options.upstream_timeout};
    auto got = co_await ask_upstream(std::move(upstream), *query, std::move(message), over_tcp);
    --me->forwarding;
    if (!got.ok()) co_return encode_response(*query, own, limit);
    if (got->size() > limit) {
      Answer too_long;
      too_long.authoritative = false;
      std::string out = encode_response(*query, too_long, limit);
      out[2] = static_cast<char>(out[2] | 0x02);
      co_return out;
    }
    co_return std::move(*got);
  }

  static Awaitable<void> reply(std::shared_ptr<Impl> me, std::string message, udp::endpoint from) {
    std::string out = co_await answer(me, std::move(message), false);
    if (out.empty()) co_return;
    boost::system::error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await me->datagrams.async_send_to(asio::buffer(out), from, token);
  }

  static Awaitable<void> serve_datagrams(std::shared_ptr<Impl> me) {
    std::string buffer(kMaxQuery, '\0');
    udp::endpoint from;
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    while (me->datagrams.is_open()) {
      std::size_t n = co_await me->datagrams.async_receive_from(asio::buffer(buffer), from, token);
      if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
      if (error) continue;   // an ICMP answer to something sent before
      spawn(me->executor, reply(me, buffer.substr(0, n), from), "dns datagram");
    }
  }

  static Awaitable<void> serve_connection(std::shared_ptr<Impl> me, std::shared_ptr<tcp::socket> socket) {
    auto idle = std::make_shared<asio::steady_timer>(me->executor);
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    while (!error) {
      idle->expires_after(kIdle);
      idle->async_wait([socket](boost::system::error_code ec) {
        boost::system::error_code ignored;
        if (!ec) socket->close(ignored);
      });
      unsigned char head[2] = {0, 0};
      co_await asio::async_read(*socket, asio::buffer(head), token);
      const std::size_t n = static_cast<std::size_t>(head[0]) << 8 | head[1];
      if (error || n > kMaxQuery) break;
      std::string message(n, '\0');
      co_await asio::async_read(*socket, asio::buffer(message), token);
      if (error) break;
      std::string out = co_await answer(me, std::move(message), true);
      if (out.empty()) break;
      out.insert(0, {static_cast<char>(out.size() >> 8), static_cast<char>(out.size() & 255)});
      co_await asio::async_write(*socket, asio::buffer(out), token);
    }
    idle->cancel();
    socket->close(error);
    me->connections.erase(socket);
  }

  static Awaitable<void> serve_connections(std::shared_ptr<Impl> me) {
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    while (me->acceptor.is_open()) {
      auto socket = std::make_shared<tcp::socket>(me->executor);
      co_await me->acceptor.async_accept(*socket, token);
      if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
      if (error) {
        asio::steady_timer pause(me->executor, std::chrono::milliseconds(100));   // out of descriptors, most likely
        boost::system::error_code ignored;
        auto wait = asio::redirect_error(asio::use_awaitable, ignored);
        co_await pause.async_wait(wait);
        continue;
      }
      if (me->connections.size() >= me->options.max_connections) continue;
      me->connections.insert(socket);
      spawn(me->executor, serve_connection(me, socket), "dns connection");
    }
  }

  void close() {
    boost::system::error_code ignored;
    datagrams.close(ignored);
    acceptor.close(ignored);
    for (const auto& c : connections) c->close(ignored);
  }

  Executor executor;
  ServerOptions options;
  const Records& records;
  udp::socket datagrams;
  tcp::acceptor acceptor;
  std::set<std::shared_ptr<tcp::socket>> connections;
  std::size_t forwarding = 0;
};

Server::Server(Executor executor, ServerOptions options, const Records& records)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(options), records)) {}

Server::~Server() { impl_->close(); }

Result<std::uint16_t> Server::listen() {
  Impl& i = *impl_;
  boost::system::error_code error;
  auto address = asio::ip::make_address_v4(i.options.address, error);
  auto fail = [&](const char* what) { return Error{Code::Unavailable, fmt::format("resolver on {}:{}: {}: {}", i.options.address, i.options.port, what, error.message())}; };
  if (error) return fail("address");
  tcp::endpoint where(address, i.options.port);
  i.acceptor.open(where.protocol(), error);
  if (!error) i.acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) i.acceptor.bind(where, error);
  if (!error) i.acceptor.listen(64, error);
  if (error) return fail("TCP");
  const std::uint16_t port = i.acceptor.local_endpoint(error).port();
  i.datagrams.open(udp::v4(), error);
  if (!error) i.datagrams.bind({address, port}, error);
  if (error) return fail("UDP");
  return port;
}

Awaitable<void> Server::run(StopToken stop) {
  auto impl = impl_;
  std::stop_callback on_stop(stop, [impl] { asio::post(impl->executor, [impl] { impl->close(); }); });
  spawn(impl->executor, Impl::serve_connections(impl), "dns connections");
  co_await Impl::serve_datagrams(impl);
}

std::vector<std::string> upstreams_of(std::string_view resolv_conf) {
  std::vector<std::string> out;
  std::istringstream lines{std::string(resolv_conf)};
  for (std::string line; std::getline(lines, line) && out.size() < 3;) {
    std::istringstream in(line);
    std::string word, address;
    in >> word >> address;
    boost::system::error_code error;
    if (word != "nameserver") continue;
    asio::ip::make_address_v4(address, error);
    if (!error) out.push_back(address);
  }
  return out;
}

}  // namespace nodevirt::dns
