// Figures, not assertions; not run by ctest: integration_launcher "[bench]"
#include <catch2/catch.hpp>

#include <cstdio>
#include <fstream>
#include <list>

#include "pod.hpp"

using namespace nodevirt;
using namespace nodevirt::test;

namespace {

long pss_kb(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("Pss:")) return std::atol(line.c_str() + 4);
  return 0;
}

double ms_since(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - t).count();
}

}  // namespace

TEST_CASE("time from the monitor's start to a running domain, and memory of ten pods", "[.bench]") {
  { Pod warm; REQUIRE(warm.sync().ok()); }
  std::list<Pod> pods;
  for (int i = 0; i < 10; ++i) {
    auto begin = std::chrono::steady_clock::now();
    Pod& pod = pods.emplace_back();
    pod.client();
    double connected = ms_since(begin);
    REQUIRE(pod.sync().ok());
    std::printf("pod %d: launcher answers after %.0f ms, the domain runs after %.0f ms\n", i, connected, ms_since(begin));
  }
  long total = 0;
  for (auto& pod : pods) {
    long monitor = pss_kb(pod.monitor()), launcher = pss_kb(pod.child("virt-launcher")), libvirtd = pss_kb(pod.child("libvirtd"));
    std::printf("PSS in kB: monitor %ld, virt-launcher %ld, libvirtd %ld\n", monitor, launcher, libvirtd);
    total += monitor + launcher + libvirtd;
  }
  std::printf("per pod, without QEMU: %.1f MiB\n", static_cast<double>(total) / 1024 / static_cast<double>(pods.size()));
}
