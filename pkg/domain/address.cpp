// PCI addresses as the API writes them, and the kind of virtio that devices speak.
#include <charconv>

#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

namespace {

bool read_hex(std::string_view text, unsigned most, unsigned& out) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return !text.empty() && failed == std::errc() && end == text.data() + text.size() && out <= most;
}

}  // namespace

Result<void> add_pci_address(Element& device, const std::string& text, const std::string& what) {
  if (text.empty()) return {};
  std::string_view t = text;
  unsigned domain = 0, bus = 0, slot = 0, function = 0;
  bool sound = t.size() == 12 && t[4] == ':' && t[7] == ':' && t[10] == '.' && read_hex(t.substr(0, 4), 0xffff, domain) &&
               read_hex(t.substr(5, 2), 0xff, bus) && read_hex(t.substr(8, 2), 0x1f, slot) && read_hex(t.substr(11), 7, function);
  if (!sound)
    return Error(Code::InvalidArgument, "Invalid", fmt::format("{}: \"{}\" is no PCI address; it looks like 0000:01:02.3", what, text));
  device.child("address")
      .attr("type", "pci")
      .attr("domain", fmt::format("0x{:04x}", domain))
      .attr("bus", fmt::format("0x{:02x}", bus))
      .attr("slot", fmt::format("0x{:02x}", slot))
      .attr("function", fmt::format("0x{:x}", function));
  return {};
}

bool transitional(const api::DomainSpec& s) { return s.devices.use_virtio_transitional.value_or(false); }

}  // namespace nodevirt::domain
