// A second QMP monitor, for what must be asked of QEMU while libvirt waits for it (pkg/libvirt/qmp_client.hpp).
#include <sys/un.h>

#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

std::string monitor_path(const std::string& socket_dir) { return socket_dir + "/qmp"; }

std::string monitor_chardev(const std::string& socket_dir) {
  std::string path;
  for (char c : monitor_path(socket_dir)) path += c == ',' ? ",," : std::string(1, c);
  return "socket,id=nodevirt-monitor,path=" + path + ",server=on,wait=off";
}

Result<void> configure_monitor(Context& c) {
  if (monitor_path(c.options.socket_dir).size() >= sizeof(sockaddr_un::sun_path))
    return Error(Code::InvalidArgument, fmt::format("the folder of the domain's sockets has too long a name: {}", c.options.socket_dir));
  c.domain.set("xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
  Element* found = c.domain.find("qemu:commandline");
  Element& line = found ? *found : c.domain.child("qemu:commandline");
  for (const std::string& arg : {std::string("-chardev"), monitor_chardev(c.options.socket_dir), std::string("-mon"),
                                 std::string("chardev=nodevirt-monitor,mode=control")})
    line.child("qemu:arg").attr("value", arg);
  return {};
}

}  // namespace nodevirt::domain
