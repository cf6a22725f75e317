// fuzz: virt_launcher_lib
// The head of a disk image.
#include <cstdint>

#include "virt-launcher/storage/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)nodevirt::virt_launcher::storage::inspect_head({data, size}, size);
  (void)nodevirt::virt_launcher::storage::inspect_head({data, size}, 1u << 30);
  return 0;
}
