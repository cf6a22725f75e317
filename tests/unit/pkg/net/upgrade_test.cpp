// WebSocket and raw upgrades between our two sides, and frames as hostile peers send them.
#include "net_testing.hpp"
#include "pkg/net/websocket_frames.hpp"

using namespace nodevirt;
using namespace nodevirt::net;
using namespace nodevirt::net::testing;

namespace {

Awaitable<void> echo_socket(ServerRequest& request, ResponseStream& response) {
  if (request.raw_path() == "/refused") {
    Response out;
    out.status = 409;
    out.body = R"({"kind":"Status","reason":"Conflict","message":"VMI is not running"})";
    auto sent = co_await response.send(out);
    co_return;
  }
  std::vector<std::string> supported{"plain.kubevirt.io"};
  auto upgraded = co_await response.upgrade(supported);
  if (!upgraded.ok()) co_return;
  auto ws = std::move(*upgraded);
  for (;;) {
    auto message = co_await ws->read();
    if (!message.ok() || message->closed) co_return;
    if (message->data == "bye") {
      std::string reason = "the console was taken over";
      co_await ws->close(4001, reason);
      co_return;
    }
    auto sent = co_await ws->write(message->data, message->binary);
    if (!sent.ok()) co_return;
  }
}

Awaitable<void> echo_bytes(ServerRequest&, ResponseStream& response) {
  Headers headers;
  headers.add("Upgrade", "SPDY/3.1");
  headers.add("Connection", "Upgrade");
  auto raw = co_await response.hijack(headers);
  if (!raw.ok()) co_return;
  auto stream = std::move(*raw);
  std::array<char, 256> buffer;
  for (;;) {
    auto n = co_await stream->read_some(buffer);
    if (!n.ok() || *n == 0) co_return;
    auto sent = co_await stream->write(std::string_view(buffer.data(), *n));
    if (!sent.ok()) co_return;
  }
}

/// Sends raw bytes to a port and gives all that comes back until the end.
Awaitable<std::string> talk(std::uint16_t port, std::string bytes, bool end) {
  std::string host = "127.0.0.1";
  auto connected = co_await connect_tcp(host, port, std::chrono::seconds(5));
  if (!connected.ok()) co_return "no connection: " + connected.error().message;
  auto stream = std::move(*connected);
  auto sent = co_await stream->write(bytes);
  if (end) auto ended = co_await stream->shutdown_write();
  std::string all;
  std::array<char, 1024> buffer;
  for (;;) {
    auto n = co_await stream->read_some(buffer);
    if (!n.ok() || *n == 0) co_return all;
    all.append(buffer.data(), *n);
  }
}

}  // namespace

TEST_CASE("a WebSocket carries messages, and its end carries code and reason", "[net]") {
  auto ca = make_certificate("ca", "");
  auto cert = make_certificate("server", "", &ca, "IP:127.0.0.1");
  for (bool with_tls : {false, true}) {
    DYNAMIC_SECTION((with_tls ? "TLS" : "plain")) {
      boost::asio::io_context io;
      HttpServer::Options options;
      if (with_tls) options.tls = *make_server_context({cert.cert, cert.key, "", false});
      TestServer server(io, echo_socket, options);
      auto to = server.to();
      if (with_tls) to.tls = *make_client_context({ca.cert, "", "", "", false});
      HttpClient client(io.get_executor(), to);
      auto body = [](HttpClient& c) -> Awaitable<void> {
        Request request;
        request.target = "/console";
        std::vector<std::string> offered{"something.else", "plain.kubevirt.io"};
        auto opened = co_await c.websocket(request, offered);
        REQUIRE(opened.ok());
        auto& ws = *opened;
        CHECK(ws->subprotocol() == "plain.kubevirt.io");
        for (std::size_t size : {0, 1, 125, 126, 65535, 65536, 900000}) {
          std::string data(size, 'q');
          auto sent = co_await ws->write(data);
          REQUIRE(sent.ok());
          auto back = co_await ws->read();
          REQUIRE(back.ok());
          CHECK_FALSE(back->closed);
          CHECK(back->data == data);
        }
        auto bye = co_await ws->write("bye", false);
        auto end = co_await ws->read();
        REQUIRE(end.ok());
        CHECK(end->closed);
        CHECK(end->close_code == 4001);
        CHECK(end->close_reason == "the console was taken over");
        auto again = co_await ws->read();
        CHECK((again.ok() && again->closed));
      };
      run(io, body(client));
    }
  }
}

TEST_CASE("a refused WebSocket gives the server's message", "[net]") {
  boost::asio::io_context io;
  TestServer server(io, echo_socket);
  HttpClient client(io.get_executor(), server.to());
  auto body = [](HttpClient& c) -> Awaitable<void> {
    Request request;
    request.target = "/refused";
    std::vector<std::string> offered{"plain.kubevirt.io"};
    auto refused = co_await c.websocket(request, offered);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message == "VMI is not running");
    CHECK(refused.error().reason == "Conflict");
    request.target = "/";
    std::vector<std::string> wrong{"other"};
    auto unspoken = co_await c.websocket(request, wrong);
    REQUIRE_FALSE(unspoken.ok());
    CHECK(unspoken.error().code == Code::InvalidArgument);
    CHECK(unspoken.error().message.find("plain.kubevirt.io") != std::string::npos);
  };
  run(io, body(client));
}

TEST_CASE("bytes sent along with the upgrade request are not lost", "[net]") {
  boost::asio::io_context io;
  TestServer server(io, echo_bytes);
  auto body = [](std::uint16_t port) -> Awaitable<void> {
    std::string text = "POST /x HTTP/1.1\r\nHost: a\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\nearly bytes";
    auto answer = co_await talk(port, text, true);
    CHECK(answer.starts_with("HTTP/1.1 101 "));
    CHECK(answer.ends_with("\r\n\r\nearly bytes"));
  };
  run(io, body(server.port));
}

TEST_CASE("a raw upgrade through the client, spliced", "[net]") {
  boost::asio::io_context io;
  TestServer server(io, echo_bytes);
  HttpClient client(io.get_executor(), server.to());
  auto body = [](HttpClient& c) -> Awaitable<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    Request request;
    request.method = "POST";
    request.headers.set("Upgrade", "SPDY/3.1");
    request.headers.set("Connection", "Upgrade");
    auto up = co_await c.upgrade(request);
    REQUIRE(up.ok());
    REQUIRE(up->head.status == 101);
    auto [near, far] = memory_pair(executor);
    std::shared_ptr<ByteStream> a = std::move(far), b = std::move(up->stream);
    spawn(executor, splice(a, b), "splice");
    auto sent = co_await near->write("hello");
    std::array<char, 16> buffer;
    auto n = co_await near->read_some(buffer);
    REQUIRE(n.ok());
    CHECK(std::string_view(buffer.data(), *n) == "hello");
    auto ended = co_await near->shutdown_write();
    auto end = co_await near->read_some(buffer);
    CHECK((end.ok() && *end == 0));
  };
  run(io, body(client));
}

TEST_CASE("frames of hostile peers end with a code", "[net]") {
  auto masked = [](unsigned char first, std::string data) {
    std::string out{static_cast<char>(first), static_cast<char>(0x80 | data.size()), 0, 0, 0, 0};
    return out + data;
  };
  struct Case {
    std::string name, bytes;
    int code;  // 0: no fault
    std::string data;
  };
  std::vector<Case> cases = {
      {"a message", masked(0x82, "abc"), 0, "abc"},
      {"fragments with a ping between", masked(0x02, "ab") + masked(0x80, "c"), 0, "abc"},
      {"unmasked from a client", std::string("\x82\x01"
                                             "a", 3), 1002, ""},
      {"a continuation of nothing", masked(0x80, "a"), 1002, ""},
      {"a new message inside another", masked(0x02, "a") + masked(0x82, "b"), 1002, ""},
      {"reserved bits", masked(0xC2, "a"), 1002, ""},
      {"an unknown opcode", masked(0x83, "a"), 1002, ""},
      {"a fragmented ping", masked(0x09, "a"), 1002, ""},
      {"a length beyond the bound", std::string("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10), 1009, ""},
      {"text that is not UTF-8", masked(0x81, "\xC0\xAF"), 1007, ""},
      {"text cut in a character", masked(0x81, "\xE2\x82"), 1007, ""},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      // Whole, and byte by byte: the outcome is the same.
      for (bool whole : {true, false}) {
        FrameReader reader(true, 1000);
        std::string in, data;
        auto take = [&] {
          while (auto event = reader.next(in)) data += event->data;
        };
        if (whole) {
          in = c.bytes;
          take();
        } else {
          for (char b : c.bytes) {
            in += b;
            take();
          }
        }
        CHECK((reader.fault() ? reader.fault()->close_code : 0) == c.code);
        CHECK(data == c.data);
      }
    }
  }
}

TEST_CASE("a close reason is cut to whole characters", "[net]") {
  std::string reason;
  for (int i = 0; i < 60; ++i) reason += "\xE2\x82\xAC";
  auto payload = close_payload(1008, reason);
  CHECK(payload.size() == 125);  // two of the code, 41 characters of three bytes
  CHECK(close_payload(1008, reason + "x").size() == 125);
  CHECK(valid_utf8(payload.substr(2)));
  CHECK(close_payload(1005, "x").empty());
}
