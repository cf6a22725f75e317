// What the groups of a pod weigh, in folders that stand for the host's hierarchies.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"
#include "standalone/podrunner/cgroup.hpp"

using namespace nodevirt;
using namespace nodevirt::podrunner;
namespace fs = std::filesystem;

namespace {

PodView pod_asking(const std::string& cpu) {
  Json pod = parse_json(R"({"metadata":{"name":"p","namespace":"default","uid":"u1"},"spec":{"nodeName":"n1","containers":[
    {"name":"compute","image":"i","resources":{"requests":{"cpu":")" + cpu + R"("},"limits":{"memory":"64Mi"}}}]}})").value();
  return PodView::decode(pod).value();
}

struct Groups {
  TempDir dir;
  explicit Groups(std::initializer_list<const char*> files) {
    for (const char* group : {"nodevirt", "nodevirt/n1", "nodevirt/n1/podu1"}) {
      fs::create_directories(dir.path() / group);
      for (const char* file : files) REQUIRE(write_file_atomic(dir.path() / group / file, "").ok());
    }
  }
  std::string at(const std::string& path) const { return read_file(dir.path() / path).value(); }
};

const long kCores = ::sysconf(_SC_NPROCESSORS_ONLN);

}  // namespace

TEST_CASE("all pods weigh as much as the machine has cores, each as much as it asks for", "[podrunner]") {
  SECTION("version 1") {
    Groups groups{"cpu.shares"};
    CgroupLayout layout{.cpu = groups.dir.path()};
    CHECK(make_cgroups(layout, "n1", pod_asking("250m")) == std::vector<std::string>{(groups.dir.path() / "nodevirt/n1/podu1/tasks").string()});
    CHECK(groups.at("nodevirt/cpu.shares") == std::to_string(1024 * kCores));
    CHECK(groups.at("nodevirt/n1/cpu.shares") == std::to_string(1024 * kCores));
    CHECK(groups.at("nodevirt/n1/podu1/cpu.shares") == "256");
  }
  SECTION("version 2") {
    Groups groups{"cpu.weight", "memory.max", "cgroup.subtree_control"};
    CgroupLayout layout{.v2 = groups.dir.path()};
    CHECK(make_cgroups(layout, "n1", pod_asking("1")).size() == 1);
    CHECK(groups.at("nodevirt/cpu.weight") == std::to_string(100 * kCores));
    CHECK(groups.at("nodevirt/n1/cpu.weight") == groups.at("nodevirt/cpu.weight"));
    CHECK(groups.at("nodevirt/n1/podu1/cpu.weight") == "40");
    CHECK(groups.at("nodevirt/n1/podu1/memory.max") == std::to_string(64 << 20));
  }
}
