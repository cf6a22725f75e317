// fuzz: pkg_client
// A kubeconfig of somebody else's.
#include <cstdint>
#include <fstream>
#include <string>
#include <unistd.h>

#include "pkg/client/kubeconfig.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/tmp/nodevirt-fuzz-kubeconfig-" + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(reinterpret_cast<const char*>(data), size);
  (void)nodevirt::client::load_kubeconfig({.path = path});
  return 0;
}
