#include "virt-launcher/migration/cause.hpp"

namespace nodevirt::virt_launcher::migration {

namespace {

struct Known {
  std::string_view words, cause;
};

// The first that fits: from the certain to the vague, since one failure makes others say that they lost their peer.
constexpr Known kKnown[] = {
    {"No space left on device", "the target has no disk space left"},
    {"Cannot allocate memory", "the target has not enough memory"},
    {"cannot set up guest memory", "the target has not enough memory"},
    {"missing features", "the target's processor lacks what this guest was started with"},
    {"guest CPU doesn't match", "the target's processor lacks what this guest was started with"},
    {"CPU is incompatible", "the target's processor lacks what this guest was started with"},
    {"CPU model", "the target's processor lacks what this guest was started with"},
    {"does not support machine type", "the target's QEMU does not know this guest's machine type"},
    {"unsupported machine type", "the target's QEMU does not know this guest's machine type"},
    {"process exited while connecting to monitor", "the target's QEMU does not start"},
    {"unexpectedly closed the monitor", "the target's QEMU has ended: it was killed, or refused what came"},
    {"Failed to connect socket", "the target cannot be reached"},
    {"Connection refused", "the target cannot be reached"},
    {"client socket is closed", "the connection to the target's libvirtd was lost"},
    {"End of file while reading data", "the connection to the target's libvirtd was lost"},
    {"Broken pipe", "the connection to the target's QEMU was lost"},
    {"Connection reset", "the connection to the target's QEMU was lost"},
    {"Input/output error", "the connection to the target's QEMU was lost"},
    {"unexpectedly failed", "the migration's stream broke"},
    {"to socket", "the connection to the target's QEMU was lost"},
};

}  // namespace

std::string cause_of(std::string_view words) {
  std::string line;
  for (char c : words) {
    if (c != '\n') line += c;
    else if (!line.empty() && line.back() != ' ') line += "; ";
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == ';')) line.pop_back();
  for (auto& known : kKnown)
    if (words.find(known.words) != std::string_view::npos) return std::string(known.cause) + " (" + line + ")";
  return line;
}

}  // namespace nodevirt::virt_launcher::migration
