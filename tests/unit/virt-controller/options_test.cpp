// Flags: both spellings, and a message that names the flag.
#include <catch2/catch.hpp>

#include "virt-controller/options.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;

TEST_CASE("flags") {
  auto o = parse_options({"--kubeconfig", "/k", "--launcher-uid=998", "--listen-fd", "3", "--launcher-image=i"});
  REQUIRE(o.ok());
  CHECK(o->kubeconfig == "/k");
  CHECK(o->launcher_uid == 998);
  CHECK(o->listen_fd == 3);
  CHECK(o->launcher_image == "i");
  CHECK(o->capability_cache_dir == "/var/lib/kubevirt/qemu-capabilities");
  for (auto wrong : std::vector<std::vector<std::string>>{{"--nonsense"}, {"--launcher-uid", "x"}, {"--launcher-uid=0"}, {"--kubeconfig"}, {"file"}, {"--leader-elect=maybe"}}) {
    auto bad = parse_options(wrong);
    REQUIRE_FALSE(bad.ok());
    CHECK_FALSE(bad.error().message.empty());
  }
}
