#include "pkg/libvirt/qemu_monitor.hpp"

#include <cstdlib>

#include <libvirt/libvirt-qemu.h>

#include "pkg/libvirt/error.hpp"

namespace nodevirt::libvirt {

Result<Json> qemu_monitor_command(const Domain& domain, std::string_view command, const Json& arguments) {
  Json request{{"execute", command}};
  if (!arguments.empty()) request["arguments"] = arguments;
  char* text = nullptr;
  std::string sent = dump_json(request);
  if (virDomainQemuMonitorCommand(domain.get(), sent.c_str(), &text, 0) < 0)
    return last_error(fmt::format("QMP {}", command));
  std::string answer(text ? text : "");
  std::free(text);
  NV_TRY(Json reply, parse_json(answer));
  if (const Json* error = find(reply, {"error"}))
    return Error(Code::Internal, fmt::format("QMP {}: {}", command, string_at(*error, {"desc"}, "unknown error")));
  const Json* value = find(reply, {"return"});
  return value ? *value : Json();
}

}  // namespace nodevirt::libvirt
