// VNC on a unix socket, the graphics card, and what a person types and points with.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_graphics(Context& c) {
  const auto& d = c.spec().devices;
  if (!d.autoattach_graphics.value_or(true)) return {};
  Element& vnc = c.devices.child("graphics").attr("type", "vnc");
  vnc.child("listen").attr("type", "socket").attr("socket", c.options.socket_dir + "/virt-vnc");
  const auto& firmware = c.spec().firmware;
  std::string type = !d.video_type.empty() ? d.video_type : firmware && firmware->efi ? "bochs" : "vga";
  Element& model = c.devices.child("video").child("model").attr("type", type).attr("heads", "1");
  if (type == "vga" || type == "bochs") model.attr("vram", "16384");
  return {};
}

Result<void> configure_inputs(Context& c) {
  const auto& d = c.spec().devices;
  auto add = [&](const std::string& type, const std::string& bus, const std::string& name) {
    Element& e = c.devices.child("input").attr("type", type.empty() ? "tablet" : type).attr("bus", bus.empty() ? "usb" : bus);
    if (!name.empty()) e.child("alias").attr("name", user_alias(name));
  };
  for (auto& i : d.inputs) add(i.type, i.bus, i.name);
  if (d.inputs.empty() && d.autoattach_input.value_or(false)) add("tablet", "usb", "default-0");
  return {};
}

Result<void> configure_sound(Context& c) {
  const auto& d = c.spec().devices;
  if (d.sound_name.empty()) return {};
  c.devices.child("sound").attr("model", d.sound_model.empty() ? "ich9" : d.sound_model);
  return {};
}

}  // namespace nodevirt::domain
