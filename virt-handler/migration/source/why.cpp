#include "virt-handler/migration/source/why.hpp"

#include <fmt/format.h>

namespace nodevirt::virt_handler::migration {

namespace {

// As virt-launcher (migration/cause.cpp) and the handover begin them.
constexpr std::string_view kVague[] = {"the connection to the target's ", "the target cannot be reached", "the migration's stream broke",
                                       "the migration ended; libvirt does not tell why", "the guest went on ", kCalledOff};

// A stream of QEMU's or libvirtd's that could not be carried to where it belongs.
std::string of_stream(const std::string& stream, const std::string& node) {
  bool refused = stream.find("refused the stream") != std::string::npos;
  bool nobody = stream.find("No such file or directory") != std::string::npos || stream.find("Connection refused") != std::string::npos;
  if (refused && nobody) {
    bool qemu = stream.find("memory.sock") != std::string::npos || stream.find("disk.sock") != std::string::npos;
    return fmt::format("the target's {} on node {} has ended, or does not listen ({})", qemu ? "QEMU" : "libvirtd", node, stream);
  }
  if (!refused && nobody) return fmt::format("virt-handler of node {} cannot be reached ({})", node, stream);
  return stream;
}

}  // namespace

bool is_vague(std::string_view failure) {
  if (failure.empty()) return true;
  for (std::string_view words : kVague)
    if (failure.starts_with(words)) return true;
  return false;
}

std::string why_it_failed(const Told& t) {
  if (!is_vague(t.failure)) return t.failure;
  bool on_its_own = t.failure.starts_with("the guest went on ") || t.failure == kCalledOff;
  std::string rest = !t.failure.empty() && !on_its_own ? t.failure : t.stream;
  if (!t.target_end.empty()) return fmt::format("the target's {} on node {} has ended{}", t.target_end, t.target_node, rest.empty() ? "" : ": " + rest);
  if (!t.failure.empty() && !on_its_own) return t.failure;
  if (!t.stream.empty()) return of_stream(t.stream, t.target_node);
  return t.failure.empty() ? "the guest went on at the source" : t.failure;
}

}  // namespace nodevirt::virt_handler::migration
