// Requests and answers between our client and our server, over every kind of connection.
#include <sys/stat.h>

#include "net_testing.hpp"

using namespace nodevirt;
using namespace nodevirt::net;
using namespace nodevirt::net::testing;

namespace {

Awaitable<void> echo(ServerRequest& request, ResponseStream& response) {
  Response out;
  out.headers.set("X-Method", request.method);
  out.headers.set("X-Target", request.target);
  out.headers.set("X-Peer", request.peer.certificate ? request.peer.certificate->common_name : request.peer.address);
  if (request.peer.certificate && !request.peer.certificate->organizations.empty())
    out.headers.set("X-Organization", request.peer.certificate->organizations[0]);
  if (request.peer.uid) out.headers.set("X-Uid", std::to_string(*request.peer.uid));
  out.body = request.body;
  auto sent = co_await response.send(std::move(out));
  (void)sent;
}

Request make(std::string method, std::string target, std::string body = "") {
  Request r;
  r.method = std::move(method);
  r.target = std::move(target);
  r.body = std::move(body);
  return r;
}

}  // namespace

TEST_CASE("a request and its answer cross a plain connection, which is kept alive", "[net]") {
  boost::asio::io_context io;
  TestServer server(io, echo);
  HttpClient client(io.get_executor(), server.to());
  auto body = [](HttpClient& c) -> Awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      auto request = make("POST", "/a?b=c", std::string(200000, 'x'));
      auto answer = co_await c.send(request);
      REQUIRE(answer.ok());
      CHECK(answer->status == 200);
      CHECK(answer->headers.get("x-target") == "/a?b=c");
      CHECK(answer->body.size() == 200000);
    }
    auto head_request = make("HEAD", "/h");
    auto head = co_await c.send(head_request);
    REQUIRE(head.ok());
    CHECK(head->body.empty());
    auto after_request = make("GET", "/after");
    auto after = co_await c.send(after_request);
    REQUIRE(after.ok());
  };
  run(io, body(client));
}

TEST_CASE("a unix socket carries requests and tells who asks", "[net]") {
  boost::asio::io_context io;
  TempDir dir;
  auto path = (dir.path() / "s.sock").string();
  TestServer server(io, echo, {}, path);
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  HttpClient::Options options;
  options.unix_path = path;
  HttpClient client(io.get_executor(), options);
  auto body = [](HttpClient& c) -> Awaitable<void> {
    auto answer_request = make("GET", "/");
    auto answer = co_await c.send(answer_request);
    REQUIRE(answer.ok());
    CHECK(answer->headers.get("X-Uid") == std::to_string(::getuid()));
  };
  run(io, body(client));
  HttpServer second(io.get_executor(), {}, echo);
  CHECK(second.listen_unix(path).error().code == Code::AlreadyExists);
  CHECK(second.listen_tcp("127.0.0.1", 0).ok());
}

TEST_CASE("TLS: both sides are verified, and the certificate's names arrive", "[net]") {
  auto ca = make_certificate("test-ca", "");
  auto other_ca = make_certificate("other-ca", "");
  auto server_cert = make_certificate("the-server", "", &ca, "DNS:localhost,IP:127.0.0.1");
  auto client_cert = make_certificate("alice", "wonderland", &ca);
  auto foreign_cert = make_certificate("mallory", "", &other_ca);
  boost::asio::io_context io;
  HttpServer::Options options;
  auto context = make_server_context({server_cert.cert, server_cert.key, ca.cert, false});
  REQUIRE(context.ok());
  options.tls = *context;
  TestServer server(io, echo, options);

  struct Case {
    std::string name, ca, cert, key, server_name;
    bool insecure, ok;
    std::string peer;
  };
  std::vector<Case> cases = {
      {"with a client certificate", ca.cert, client_cert.cert, client_cert.key, "", false, true, "alice"},
      {"without one", ca.cert, "", "", "", false, true, "127.0.0.1"},
      {"the program's name from the subject", ca.cert, "", "", "the-server", false, true, "127.0.0.1"},
      {"another program's name", ca.cert, "", "", "virt-handler", false, false, ""},
      {"an unknown authority", other_ca.cert, "", "", "", false, false, ""},
      {"an unknown authority, unverified", other_ca.cert, "", "", "", true, true, "127.0.0.1"},
      {"a client certificate of somebody else's", ca.cert, foreign_cert.cert, foreign_cert.key, "", false, false, ""},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto tls = make_client_context({c.ca, c.cert, c.key, c.server_name, c.insecure});
      REQUIRE(tls.ok());
      auto to = server.to();
      to.tls = *tls;
      HttpClient client(io.get_executor(), to);
      auto body = [](HttpClient& h, const Case& want) -> Awaitable<void> {
        for (int i = 0; i < 2; ++i) {
          auto request = make("PUT", "/", std::string(100000, 'y'));
          auto answer = co_await h.send(request);
          CHECK(answer.ok() == want.ok);
          if (!answer.ok() || !want.ok) co_return;
          CHECK(answer->body == std::string(100000, 'y'));
          CHECK(std::string(answer->headers.get("X-Peer")).starts_with(want.peer));
        }
      };
      run(io, body(client, c));
    }
  }
}

TEST_CASE("TLS options that cannot work are refused with a reason", "[net]") {
  auto ca = make_certificate("ca", "");
  auto a = make_certificate("a", "", &ca), b = make_certificate("b", "", &ca);
  CHECK(make_server_context({"nonsense", a.key, "", false}).error().message.find("not PEM") != std::string::npos);
  CHECK(make_server_context({a.cert, b.key, "", false}).error().message.find("belong") != std::string::npos);
  CHECK_FALSE(make_server_context({a.cert, a.key, "", true}).ok());
  CHECK_FALSE(make_client_context({"nonsense", "", "", "", false}).ok());
}

TEST_CASE("a streamed answer arrives piece by piece", "[net]") {
  boost::asio::io_context io;
  auto stream = [](ServerRequest&, ResponseStream& response) -> Awaitable<void> {
    Headers headers;
    headers.add("Content-Type", "application/json");
    auto begun = co_await response.begin(200, headers);
    for (int i = 0; i < 100; ++i) {
      auto line = fmt::format("{{\"i\":{}}}\n", i);
      auto written = co_await response.write(line);
    }
    std::string large(300000, 'z');
    auto big = co_await response.write(large);
    auto done = co_await response.finish();
  };
  TestServer server(io, stream);
  HttpClient client(io.get_executor(), server.to());
  auto body = [](HttpClient& c) -> Awaitable<void> {
    for (int i = 0; i < 2; ++i) {
      auto reader_request = make("GET", "/watch");
      auto reader = co_await c.open(reader_request);
      REQUIRE(reader.ok());
      CHECK((*reader)->head().status == 200);
      std::string all;
      for (;;) {
        auto piece = co_await (*reader)->read();
        REQUIRE(piece.ok());
        if (piece->empty()) break;
        all += *piece;
      }
      CHECK(all.size() > 300000);
      CHECK(all.starts_with("{\"i\":0}\n{\"i\":1}\n"));
    }
  };
  run(io, body(client));
}

TEST_CASE("a handler that only waits is told when its client goes away", "[net]") {
  boost::asio::io_context io;
  static bool told = false, began = false;
  told = began = false;
  auto wait = [](ServerRequest& request, ResponseStream& response) -> Awaitable<void> {
    Headers none;
    auto begun = co_await response.begin(200, none);
    auto first = co_await response.write("first\n");
    began = true;
    auto closed = request.closed;
    std::function<bool()> gone = [closed] { return closed.stop_requested(); };
    co_await eventually(gone);
    told = closed.stop_requested();
  };
  auto ca = make_certificate("ca", "");
  auto cert = make_certificate("server", "", &ca, "IP:127.0.0.1");
  for (bool with_tls : {false, true}) {
    DYNAMIC_SECTION((with_tls ? "TLS" : "plain")) {
      HttpServer::Options options;
      if (with_tls) options.tls = *make_server_context({cert.cert, cert.key, "", false});
      TestServer server(io, wait, options);
      auto to = server.to();
      if (with_tls) to.tls = *make_client_context({ca.cert, "", "", "", false});
      HttpClient client(io.get_executor(), to);
      auto body = [](HttpClient& c) -> Awaitable<void> {
        {
          auto reader_request = make("GET", "/watch");
          auto reader = co_await c.open(reader_request);
          REQUIRE(reader.ok());
          auto piece = co_await (*reader)->read();
          REQUIRE(piece.ok());
          CHECK(*piece == "first\n");
          CHECK_FALSE(told);
        }
        std::function<bool()> was_told = [] { return told; };
        bool heard = co_await eventually(was_told);
        CHECK(heard);
      };
      run(io, body(client));
    }
  }
}
