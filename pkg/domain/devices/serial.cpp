// The serial console, and the guest agent's channel.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_serial(Context& c) {
  const auto& d = c.spec().devices;
  if (!d.autoattach_serial_console.value_or(true)) return {};
  Element& serial = c.devices.child("serial").attr("type", "unix");
  serial.child("source").attr("mode", "bind").attr("path", c.options.socket_dir + "/virt-serial0");
  if (d.log_serial_console.value_or(true))
    serial.child("log").attr("file", c.options.socket_dir + "/virt-serial0-log").attr("append", "on");
  serial.child("target").attr("type", "isa-serial").attr("port", "0").child("model").attr("name", "isa-serial");
  serial.child("alias").attr("name", "serial0");
  return {};
}

Result<void> configure_guest_agent(Context& c) {
  if (transitional(c.spec()))
    c.devices.child("controller").attr("type", "virtio-serial").attr("index", "0").attr("model", kTransitional);
  Element& channel = c.devices.child("channel").attr("type", "unix");
  channel.child("source").attr("mode", "bind").attr("path", c.options.socket_dir + "/guest-agent");
  channel.child("target").attr("type", "virtio").attr("name", "org.qemu.guest_agent.0");
  return {};
}

}  // namespace nodevirt::domain
