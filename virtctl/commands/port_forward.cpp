// port-forward: local ports, or standard input and output, that lead to a port of the guest.
#include <cstdio>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"
#include "virtctl/commands/ports.hpp"
#include "virtctl/console/terminal.hpp"
#include "virtctl/tunnel.hpp"

namespace nodevirt::virtctl {

namespace asio = boost::asio;

namespace {

struct ForwardFlags {
  std::string place, address = "127.0.0.1";
  std::vector<std::string> ports;
  bool stdio = false;
};

/// Standard input and output as one stream. Whoever reads our output reads it all the time (ssh does), so
/// writing waits in place.
class StdioStream : public net::ByteStream {
 public:
  explicit StdioStream(Executor executor) : input_(std::move(executor)) {}
  Awaitable<Result<std::size_t>> read_some(std::span<char> into) override {
    if (ahead_.empty()) ahead_ = co_await input_.read();
    std::size_t n = std::min(into.size(), ahead_.size());
    ahead_.copy(into.data(), n);
    ahead_.erase(0, n);
    co_return n;
  }
  Awaitable<Result<void>> write(std::string_view bytes) override {
    while (!bytes.empty()) {
      ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) co_return errno_error(errno, "write to standard output");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    co_return Result<void>{};
  }
  Awaitable<Result<void>> shutdown_write() override { co_return Result<void>{}; }
  void close() override { input_.close(); }

 private:
  Input input_;
  std::string ahead_;
};

Awaitable<void> serve(Session& session, Place place, std::uint16_t port, std::shared_ptr<net::ByteStream> local) {
  auto remote = co_await open_stream(session, place.kind, place.ns, place.name, fmt::format("portforward/{}/tcp", port));
  if (!remote.ok()) {
    std::fprintf(stderr, "error: port %d: %s\n", port, remote.error().message.c_str());
    local->close();
    co_return;
  }
  co_await join(session.executor, local, *remote);
}

Awaitable<void> accept_all(Session& session, Place place, std::uint16_t port, std::shared_ptr<asio::ip::tcp::acceptor> acceptor) {
  for (;;) {
    boost::system::error_code ec;
    asio::ip::tcp::socket socket(session.executor);
    co_await acceptor->async_accept(socket, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return;
    std::shared_ptr<net::ByteStream> local = net::adopt_socket(session.executor, socket.release());
    spawn(session.executor, serve(session, place, port, local), "forward");
  }
}

Result<std::shared_ptr<asio::ip::tcp::acceptor>> listen(Executor executor, const std::string& address, std::uint16_t port) {
  boost::system::error_code ec;
  auto ip = asio::ip::make_address(address, ec);
  if (ec) return Error(Code::InvalidArgument, fmt::format("--address {}: not an address", address));
  auto acceptor = std::make_shared<asio::ip::tcp::acceptor>(executor);
  asio::ip::tcp::endpoint endpoint(ip, port);
  acceptor->open(endpoint.protocol(), ec);
  if (!ec) acceptor->bind(endpoint, ec);
  if (!ec) acceptor->listen(64, ec);
  if (ec) return Error(Code::AlreadyExists, fmt::format("listen on {}:{}: {}", address, port, ec.message()));
  return acceptor;
}

Awaitable<Result<void>> forward(std::shared_ptr<ForwardFlags> flags, Session& session) {
  NV_CO_TRY(Place place, parse_place(flags->place));
  if (place.ns.empty()) place.ns = session.ns;
  std::vector<PortPair> pairs;
  for (const std::string& text : flags->ports) {
    NV_CO_TRY(PortPair pair, parse_ports(text));
    pairs.push_back(pair);
  }
  if (flags->stdio) {
    if (pairs.size() != 1) co_return Error(Code::InvalidArgument, "--stdio takes one port");
    std::string subresource = fmt::format("portforward/{}/tcp", pairs[0].target);
    NV_CO_TRY(auto remote, co_await open_stream(session, place.kind, place.ns, place.name, subresource));
    std::shared_ptr<net::ByteStream> local = std::make_shared<StdioStream>(session.executor);
    co_await join(session.executor, local, remote);
    co_return Result<void>{};
  }
  std::vector<std::shared_ptr<asio::ip::tcp::acceptor>> acceptors;
  for (const PortPair& pair : pairs) {
    NV_CO_TRY(auto acceptor, listen(session.executor, flags->address, pair.local));
    acceptors.push_back(acceptor);
  }
  for (std::size_t i = 0; i < pairs.size(); ++i)
    std::printf("Forwarding from %s:%d to port %d of %s\n", flags->address.c_str(), acceptors[i]->local_endpoint().port(),
                pairs[i].target, place.name.c_str());
  std::fflush(stdout);
  for (std::size_t i = 1; i < pairs.size(); ++i)
    spawn(session.executor, accept_all(session, place, pairs[i].target, acceptors[i]), "port");
  co_await accept_all(session, place, pairs[0].target, acceptors[0]);
  co_return Result<void>{};
}

}  // namespace

void add_port_forward(CLI::App& app, Globals& globals, int& exit_code) {
  auto flags = std::make_shared<ForwardFlags>();
  CLI::App* sub = app.add_subcommand("port-forward", "Lead local ports to ports of a guest, until interrupted");
  sub->add_option("target", flags->place, "TYPE/NAME[/NAMESPACE]")->required();
  sub->add_option("ports", flags->ports, "[tcp/]LOCAL[:TARGET]; LOCAL 0 is a free port")->required();
  sub->add_option("--address", flags->address, "Local address");
  sub->add_flag("--stdio", flags->stdio, "Standard input and output in place of a local port, for ssh's ProxyCommand");
  sub->callback([&globals, &exit_code, flags] {
    auto body = [flags](Session& session) { return forward(flags, session); };
    exit_code = with_session(globals, body);
  });
}

}  // namespace nodevirt::virtctl
