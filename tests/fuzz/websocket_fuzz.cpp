// fuzz: pkg_net
// WebSocket frames from a client and from a server.
#include <cstdint>

#include "pkg/net/websocket_frames.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt::net;
  if (size == 0) return 0;
  FrameReader reader(data[0] & 1, 4096);
  std::string in(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (;;) {
    auto event = reader.next(in);
    if (!event) break;
    if (event->data.size() > 4096) __builtin_trap();
  }
  return 0;
}
