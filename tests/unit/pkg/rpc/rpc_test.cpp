// Errors over gRPC and sockets whose paths are too long for sun_path.
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <grpcpp/support/status.h>

#include "pkg/base/async.hpp"
#include "pkg/base/file.hpp"
#include "pkg/rpc/launcher_client.hpp"
#include "pkg/rpc/socket_path.hpp"
#include "pkg/rpc/status.hpp"

using namespace nodevirt;
using namespace nodevirt::rpc;

namespace {

Awaitable<void> call(std::filesystem::path socket, std::shared_ptr<std::optional<Code>> ended) {
  auto client = co_await connect_launcher(std::move(socket));
  *ended = client.ok() ? Code::OK : client.error().code;
}

}  // namespace

TEST_CASE("an error crosses the wire with its code, reason and message") {
  for (int code = 1; code <= 16; ++code) {
    Error in(static_cast<Code>(code), "Because", "what went wrong");
    Error out = from_status(to_status(in), "sync");
    CHECK(out.code == in.code);
    CHECK(out.reason == "Because");
    CHECK(out.message == "sync: what went wrong");
  }
}

TEST_CASE("codes that are none, and texts without end, are brought into bounds") {
  CHECK(to_status(Error(Code::OK, "?")).error_code() == grpc::StatusCode::UNKNOWN);
  CHECK(from_status(grpc::Status(static_cast<grpc::StatusCode>(99), ""), "x").code == Code::Unknown);
  CHECK(to_status(Error(Code::Internal, std::string(100000, 'x'))).error_message().size() <= 4096);
}

TEST_CASE("a listener behind a long path is reached and named by its process") {
  TempDir dir;
  auto folder = dir.path();
  for (int i = 0; i < 4; ++i) folder /= std::string(60, 'd');
  std::filesystem::create_directories(folder);
  auto socket = folder / "sock";
  CHECK(peer_pid(socket).error().code == Code::NotFound);
  CHECK(peer_pid(dir.path() / "none" / "sock").error().code == Code::NotFound);

  auto name = SocketPath::of(socket);
  REQUIRE(name.ok());
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name->path().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  CHECK(peer_pid(socket).error().code == Code::Unavailable);
  REQUIRE(::listen(listener.get(), 4) == 0);
  auto pid = peer_pid(socket);
  REQUIRE(pid.ok());
  CHECK(*pid == ::getpid());
  CHECK(SocketPath::of(folder / std::string(200, 's')).error().code == Code::InvalidArgument);
}

TEST_CASE("a call that ends after its io_context comes back to nothing") {
  TempDir dir;
  auto socket = dir.path() / "sock";
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket.string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener.get(), 8) == 0);  // and never says a word
  auto lost = std::make_shared<std::optional<Code>>(), told = std::make_shared<std::optional<Code>>();
  auto gone = std::make_unique<boost::asio::io_context>();
  boost::asio::io_context stays;
  spawn(gone->get_executor(), call(socket, lost), "test");
  gone->poll();
  gone.reset();
  spawn(stays.get_executor(), call(socket, told), "test");
  stays.poll();
  listener.reset();  // ends both calls, the lost one first
  stays.run();
  REQUIRE(*told);
  CHECK(**told == Code::Unavailable);
  CHECK_FALSE(*lost);
}
