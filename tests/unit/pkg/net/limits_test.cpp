// What the server and the client do with peers that are slow, wrong, too large or gone.
#include "net_testing.hpp"

using namespace nodevirt;
using namespace nodevirt::net;
using namespace nodevirt::net::testing;

namespace {

Awaitable<void> count_body(ServerRequest& request, ResponseStream& response) {
  Response out;
  out.body = fmt::format("{} {} bytes\n", request.path(), request.body.size());
  auto sent = co_await response.send(out);
  (void)sent;
}

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

TEST_CASE("raw requests get the answer they deserve", "[net]") {
  struct Case {
    std::string name, bytes, starts, contains;
  };
  std::vector<Case> cases = {
      {"two pipelined requests", "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK",
       "/b 0 bytes"},
      {"HTTP/1.0 is answered and closed", "GET /a HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK", "Connection: close"},
      {"a chunked body", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
       "HTTP/1.1 200 OK", "/a 3 bytes"},
      {"100-continue", "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
       "HTTP/1.1 100 Continue\r\n\r\n", ""},
      {"no HTTP at all", "\x16\x03\x01 hello\r\n\r\n", "HTTP/1.1 400", ""},
      {"a body that is announced twice", "POST /a HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "HTTP/1.1 400", ""},
      {"two lengths", "POST /a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "HTTP/1.1 400", ""},
      {"a head without end", "GET /a HTTP/1.1\r\nX: " + std::string(100000, 'x'), "HTTP/1.1 431", ""},
      {"too many header fields",
       [] {
         std::string s = "GET /a HTTP/1.1\r\n";
         for (int i = 0; i < 500; ++i) s += "A: b\r\n";
         return s + "\r\n";
       }(),
       "HTTP/1.1 431", ""},
      {"an announced body beyond the bound", "POST /a HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413", ""},
      {"a chunked body beyond the bound",
       "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFF\r\n" + std::string(65535, 'x') + "\r\n0\r\n\r\n",
       "HTTP/1.1 413", ""},
      {"a target that is none", "GET foo HTTP/1.1\r\n\r\n", "HTTP/1.1 400", ""},
      {"nothing", "", "", ""},
  };
  boost::asio::io_context io;
  HttpServer::Options options;
  options.max_body = 10000;
  options.max_header = 8192;
  TestServer server(io, count_body, options);
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto body = [](std::uint16_t port, const Case& want) -> Awaitable<void> {
        auto answer = co_await talk(port, want.bytes, true);
        INFO(answer);
        CHECK(answer.starts_with(want.starts));
        CHECK(answer.find(want.contains) != std::string::npos);
      };
      run(io, body(server.port, c));
    }
  }
}

TEST_CASE("a head that trickles in is cut off, an idle connection too", "[net]") {
  boost::asio::io_context io;
  HttpServer::Options options;
  options.header_timeout = std::chrono::milliseconds(50);
  options.idle_timeout = std::chrono::milliseconds(100);
  TestServer server(io, count_body, options);
  for (std::string start : {"", "GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                            "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab"}) {
    DYNAMIC_SECTION("after '" << start << "'") {
      auto body = [](std::uint16_t port, std::string bytes) -> Awaitable<void> {
        auto answer = co_await talk(port, bytes, false);  // returns because the server ends it
        CHECK(answer.starts_with(bytes.ends_with("\r\n\r\n") ? "HTTP/1.1 200" : ""));
      };
      run(io, body(server.port, start));
    }
  }
}

TEST_CASE("a handler that forgets to answer, or throws, makes a 500 and no more", "[net]") {
  boost::asio::io_context io;
  auto bad = [](ServerRequest& request, ResponseStream&) -> Awaitable<void> {
    if (request.target == "/throw") throw std::runtime_error("boom");
    co_return;
  };
  TestServer server(io, bad);
  HttpClient client(io.get_executor(), server.to());
  auto body = [](HttpClient& c) -> Awaitable<void> {
    for (std::string target : {"/throw", "/forget", "/throw"}) {
      Request request;
      request.target = target;
      auto answer = co_await c.send(request);
      REQUIRE(answer.ok());
      CHECK(answer->status == 500);
      CHECK(answer->body.find("boom") == std::string::npos);
    }
  };
  run(io, body(client));
}

TEST_CASE("a request on a kept connection that the server has ended is sent again when that is safe", "[net]") {
  // A server that answers once per connection without saying that it closes; the second request of a
  // connection is read and then cut.
  struct Case {
    std::string method;
    bool ok;
  };
  for (const auto& c : std::vector<Case>{{"GET", true}, {"PUT", true}, {"POST", false}}) {
    DYNAMIC_SECTION(c.method) {
      boost::asio::io_context io;
      auto dials = std::make_shared<int>(0);
      HttpClient::Options options;
      options.host = "test";
      auto serve = [](std::shared_ptr<ByteStream> end) -> Awaitable<void> {
        std::array<char, 4096> buffer;
        auto first = co_await end->read_some(buffer);
        auto sent = co_await end->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        auto second = co_await end->read_some(buffer);
        end->close();
      };
      auto executor = io.get_executor();
      options.dial = [executor, dials, serve]() -> Awaitable<Result<std::unique_ptr<ByteStream>>> {
        ++*dials;
        auto [a, b] = memory_pair(executor);
        std::shared_ptr<ByteStream> far = std::move(b);
        spawn(executor, serve(far), "one-answer server");
        co_return std::move(a);
      };
      HttpClient client(executor, options);
      auto body = [](HttpClient& h, std::string method, bool ok, std::shared_ptr<int> count) -> Awaitable<void> {
        Request request;
        request.method = method;
        auto one = co_await h.send(request);
        REQUIRE(one.ok());
        auto two = co_await h.send(request);
        CHECK(two.ok() == ok);
        CHECK(*count == (ok ? 2 : 1));
      };
      run(io, body(client, c.method, c.ok, dials));
    }
  }
}

TEST_CASE("the client's bounds: time, size, nobody there", "[net]") {
  boost::asio::io_context io;
  auto wait = [](ServerRequest& request, ResponseStream& response) -> Awaitable<void> {
    if (request.target == "/big") {
      Response out;
      out.body.assign(5000, 'x');
      auto sent = co_await response.send(out);
      co_return;
    }
    auto closed = request.closed;
    std::function<bool()> gone = [closed] { return closed.stop_requested(); };
    co_await eventually(gone);
  };
  TestServer server(io, wait);
  auto to = server.to();
  to.request_timeout = std::chrono::milliseconds(50);
  to.max_body = 1000;
  HttpClient client(io.get_executor(), to);
  auto body = [](HttpClient& c) -> Awaitable<void> {
    Request request;
    request.target = "/never";
    auto late = co_await c.send(request);
    REQUIRE_FALSE(late.ok());
    CHECK(late.error().code == Code::DeadlineExceeded);
    request.target = "/big";
    auto large = co_await c.send(request);
    REQUIRE_FALSE(large.ok());
    CHECK(large.error().reason == "BodyTooLarge");
    request.target = "/a b";
    auto bad = co_await c.send(request);
    CHECK(bad.error().code == Code::InvalidArgument);
    std::string nowhere = "/nonexistent/socket";
    auto none = co_await connect_unix(nowhere);
    CHECK(none.error().code == Code::NotFound);
  };
  run(io, body(client));
}

TEST_CASE("a taken port is refused with the name of its holder", "[net]") {
  boost::asio::io_context io;
  HttpServer one(io.get_executor(), {}, count_body), two(io.get_executor(), {}, count_body);
  auto port = one.listen_tcp("127.0.0.1", 0);
  REQUIRE(port.ok());
  auto taken = two.listen_tcp("127.0.0.1", *port);
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().code == Code::AlreadyExists);
  CHECK(taken.error().message.find(fmt::format("(pid {})", ::getpid())) != std::string::npos);
}

TEST_CASE("queries and headers", "[net]") {
  auto q = Query::parse("a=1&b=x%2Fy+z&c&a=2&&=e&d=%zz");
  CHECK(q.get("a") == "1");
  CHECK(q.all("a") == std::vector<std::string>{"1", "2"});
  CHECK(q.get("b") == "x/y z");
  CHECK(q.get("c") == "");
  CHECK(q.get("d") == "%zz");
  CHECK_FALSE(q.has("e"));
  Query out;
  out.add("k", "a b&c=d/\xC3\xA9");
  CHECK(out.to_string() == "k=a%20b%26c%3Dd%2F%C3%A9");
  CHECK(Query::parse(out.to_string()).get("k") == "a b&c=d/\xC3\xA9");
  Headers h{{"A", "1"}, {"b", "2"}, {"a", "3"}};
  CHECK(h.get("a") == "1");
  CHECK(h.all("A").size() == 2);
  h.set("a", "4");
  CHECK(h.all("A").size() == 1);
}
