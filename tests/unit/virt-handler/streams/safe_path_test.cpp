// A launcher may plant links in its own folders: none of them leads virt-handler anywhere.
#include <catch2/catch.hpp>

#include <fstream>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "virt-handler/streams/safe_path.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

Fd listen_at(const std::filesystem::path& path) {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string text = path.string();
  REQUIRE(text.size() < sizeof address.sun_path);
  text.copy(address.sun_path, text.size());
  REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(fd.get(), 4) == 0);
  return fd;
}

Code code_of(const Result<Fd>& result) { return result.ok() ? Code::OK : result.error().code; }

}  // namespace

TEST_CASE("sockets below a folder") {
  TempDir dir("vh");
  std::filesystem::create_directories(dir.path() / "pod/uid1");
  std::filesystem::create_directories(dir.path() / "other");
  Fd real = listen_at(dir.path() / "pod/uid1/virt-serial0");
  Fd secret = listen_at(dir.path() / "other/secret");

  CHECK(connect_beneath(dir.path() / "pod", "uid1/virt-serial0").ok());
  CHECK(code_of(connect_beneath(dir.path() / "pod", "uid1/missing")) == Code::NotFound);
  CHECK_FALSE(connect_beneath(dir.path() / "pod", "../other/secret").ok());

  std::filesystem::create_symlink(dir.path() / "other/secret", dir.path() / "pod/uid1/link");
  CHECK(code_of(connect_beneath(dir.path() / "pod", "uid1/link")) == Code::FailedPrecondition);
  std::filesystem::create_directory_symlink(dir.path() / "other", dir.path() / "pod/uid2");
  CHECK(code_of(connect_beneath(dir.path() / "pod", "uid2/secret")) == Code::FailedPrecondition);
  std::ofstream(dir.path() / "pod/uid1/file") << "x";
  CHECK(code_of(connect_beneath(dir.path() / "pod", "uid1/file")) == Code::FailedPrecondition);

  real.reset();
  CHECK(code_of(connect_beneath(dir.path() / "pod", "uid1/virt-serial0")) == Code::Unavailable);
}

TEST_CASE("files of a process are read with a bound") {
  TempDir dir("vh");
  std::ofstream(dir.path() / "conf") << "nameserver 10.0.0.1\n";
  std::string path = (dir.path() / "conf").string().substr(1);
  auto text = read_in_root(getpid(), path, 1000);
  REQUIRE(text.ok());
  CHECK(*text == "nameserver 10.0.0.1\n");
  CHECK_FALSE(read_in_root(getpid(), path, 5).ok());
  CHECK_FALSE(read_in_root(getpid(), "dev/zero", 1000).ok());
  CHECK_FALSE(read_in_root(getpid(), "tmp", 1000).ok());
}
