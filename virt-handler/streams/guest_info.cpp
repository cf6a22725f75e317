#include "virt-handler/streams/guest_info.hpp"

namespace nodevirt::virt_handler {
namespace {

Json users(const launcher::v1::GuestInfo& info) {
  Json out = Json::array();
  for (const auto& user : info.users()) {
    Json item{{"userName", user.name()}, {"loginTime", user.login_time()}};
    if (!user.domain().empty()) item["domain"] = user.domain();
    out.push_back(std::move(item));
  }
  return out;
}

Json filesystems(const launcher::v1::GuestInfo& info) {
  Json out = Json::array();
  for (const auto& fs : info.filesystems())
    out.push_back(Json{{"diskName", fs.disk_name()}, {"mountPoint", fs.mount_point()}, {"fileSystemType", fs.type()},
                       {"usedBytes", fs.used_bytes()}, {"totalBytes", fs.total_bytes()}});
  return out;
}

Json typed(const char* kind) { return Json{{"apiVersion", "kubevirt.io/v1"}, {"kind", kind}}; }

Json list(const char* kind, Json items) {
  Json out = typed(kind);
  out["metadata"] = Json::object();
  out["items"] = std::move(items);
  return out;
}

}  // namespace

Json guest_os_info(const launcher::v1::GuestInfo& info) {
  Json out = typed("VirtualMachineInstanceGuestAgentInfo");
  out["guestAgentVersion"] = info.agent_version();
  out["hostname"] = info.hostname();
  out["timezone"] = info.timezone();
  Json os = Json::object();
  for (auto [key, value] : {std::pair{"name", &info.os_name()}, {"kernelRelease", &info.os_kernel_release()},
                            {"version", &info.os_version()}, {"prettyName", &info.os_pretty_name()},
                            {"versionId", &info.os_version_id()}, {"kernelVersion", &info.os_kernel_version()},
                            {"machine", &info.os_machine()}, {"id", &info.os_id()}})
    if (!value->empty()) os[key] = *value;
  out["os"] = std::move(os);
  out["userList"] = users(info);
  out["fsInfo"] = Json{{"disks", filesystems(info)}};
  return out;
}

Json user_list(const launcher::v1::GuestInfo& info) { return list("VirtualMachineInstanceGuestOSUserList", users(info)); }
Json filesystem_list(const launcher::v1::GuestInfo& info) { return list("VirtualMachineInstanceFileSystemList", filesystems(info)); }

}  // namespace nodevirt::virt_handler
