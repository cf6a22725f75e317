#include "virt-launcher/dhcp/wanted.hpp"

namespace nodevirt::virt_launcher::dhcp {

namespace {

constexpr std::size_t kMostText = 255, kMostServers = 16, kMostPrivate = 31;  // one option each, codes 224 to 254

Error wrong(const api::Interface& i, std::string_view what) {
  return Error(Code::InvalidArgument, "Invalid", fmt::format("interface {}: dhcpOptions.{}", i.name, what));
}

}  // namespace

Result<void> add_wanted_options(const api::Interface& i, Lease& lease) {
  const Json& want = i.dhcp_options;
  if (!want.is_object()) return {};
  lease.tftp_server = string_at(want, {"tftpServerName"});
  lease.boot_file = string_at(want, {"bootFileName"});
  if (lease.tftp_server.size() > kMostText) return wrong(i, "tftpServerName is longer than 255 characters");
  if (lease.boot_file.size() > kMostText) return wrong(i, "bootFileName is longer than 255 characters");
  if (const Json* servers = find(want, {"ntpServers"}); servers && servers->is_array()) {
    if (servers->size() > kMostServers) return wrong(i, "ntpServers: at most 16 can be told");
    for (const Json& server : *servers) {
      auto ip = server.is_string() ? parse_ip(server.get_ref<const std::string&>()) : Result<Ip>(Error(Code::InvalidArgument, "no text"));
      if (!ip.ok()) return wrong(i, "ntpServers must be IPv4 addresses");
      lease.ntp.push_back(*ip);
    }
  }
  const Json* others = find(want, {"privateOptions"});
  if (!others || !others->is_array()) return {};
  if (others->size() > kMostPrivate) return wrong(i, "privateOptions: at most 31 can be told");
  for (const Json& other : *others) {
    auto code = int_at(other, {"option"});
    auto value = string_at(other, {"value"});
    if (code < 224 || code > 254) return wrong(i, "privateOptions: option must be from 224 to 254");
    if (value.empty() || value.size() > kMostText) return wrong(i, "privateOptions: value must have 1 to 255 characters");
    lease.private_options.emplace_back(static_cast<std::uint8_t>(code), value);
  }
  return {};
}

}  // namespace nodevirt::virt_launcher::dhcp
