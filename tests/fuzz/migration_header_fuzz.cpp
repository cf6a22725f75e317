// fuzz: virt_handler_lib
// What comes over the port that other nodes' virt-handlers call: a first line, its answer, an address.
#include <cstdint>
#include <cstdlib>

#include "virt-handler/migration/stream/connection.hpp"
#include "virt-handler/migration/stream/header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt::virt_handler::migration;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto header = parse_header(text); header.ok()) {
    for (const std::string* id : {&header->migration, &header->instance})
      if (id->empty() || id->size() > 64 || id->find('/') != std::string::npos || id->front() == '.') std::abort();
    std::string line = format_header(*header);
    if (line.size() > kMaxHeader) std::abort();
    line.pop_back();
    auto again = parse_header(line);
    if (!again.ok() || !(*again == *header)) std::abort();
  }
  if (auto answer = parse_answer(text); !answer.ok() && answer.error().message.size() > 1024) std::abort();
  if (auto address = parse_address(text); address.ok() && (address->host.empty() || address->port == 0)) std::abort();
  return 0;
}
