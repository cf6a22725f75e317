// Whether KVM is used: a device alone is not believed, an answer is kept for the boot.
#include <catch2/catch.hpp>

#include <fstream>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>

#include "pkg/base/file.hpp"
#include "virt-handler/node/accelerator.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

Awaitable<void> ask(Accelerator& accelerator, bool& out) { out = co_await accelerator.kvm(); }

bool works(const Accelerator::Options& options, std::string* why = nullptr) {
  boost::asio::io_context io;
  Accelerator accelerator(options);
  CHECK_FALSE(accelerator.known());
  bool out = false;
  // Who asks before the answer is there waits for it.
  spawn(io.get_executor(), ask(accelerator, out), "ask");
  spawn(io.get_executor(), accelerator.run(), "run");
  io.run();
  if (why) *why = accelerator.why();
  return out;
}

/// A QEMU that behaves as `body` says.
std::filesystem::path script(const TempDir& dir, const std::string& body) {
  std::filesystem::path path = dir.path() / "qemu";
  std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
  chmod(path.c_str(), 0755);
  return path;
}

}  // namespace

TEST_CASE("KVM is believed when a kernel speaks") {
  TempDir dir("vh");
  std::ofstream(dir.path() / "kernel") << "k";
  Accelerator::Options options{.state_dir = dir.path(), .probe_kernel = dir.path() / "kernel", .device = "/dev/null"};
  SECTION("it boots") {
    options.qemu = script(dir, "echo '[    0.000000] Linux version 6.1.0'; echo x >> " + (dir.path() / "tries").string()).string();
    CHECK(works(options));
    std::string why;
    CHECK(works(options, &why));
    CHECK(why.find("earlier") != std::string::npos);
    CHECK(*read_file(dir.path() / "tries") == "x\n");
  }
  SECTION("it hangs") {
    options.qemu = script(dir, "exec sleep 100").string();
    options.patience = 50ms;
    CHECK_FALSE(works(options));
  }
  SECTION("QEMU fails") {
    options.qemu = script(dir, "echo 'no such machine' >&2; exit 1").string();
    std::string why;
    CHECK_FALSE(works(options, &why));
    CHECK(why.find("no such machine") != std::string::npos);
  }
  SECTION("no device") {
    options.device = dir.path() / "nothing";
    CHECK_FALSE(works(options));
  }
  SECTION("no kernel to try with") {
    options.probe_kernel.clear();
    CHECK_FALSE(works(options));
  }
}
