#include "standalone/podrunner/cni.hpp"

#include "pkg/base/file.hpp"
#include "pkg/base/process.hpp"

namespace nodevirt::podrunner {
namespace {

constexpr const char* kVersion = "1.0.0";

Result<Json> call(const CniOptions& options, const CniAttachment& a, const char* verb, const Json& plugin) {
  const std::string type = plugin.at("type").get<std::string>();
  Command command;
  command.argv = {(options.plugin_dir / type).string()};
  command.env = {{"CNI_COMMAND", verb},
                 {"CNI_CONTAINERID", a.container_id},
                 {"CNI_NETNS", a.netns},
                 {"CNI_IFNAME", "eth0"},
                 {"CNI_PATH", options.plugin_dir.string()},
                 {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + a.ns + ";K8S_POD_NAME=" + a.name + ";K8S_POD_UID=" + a.uid}};
  command.input = dump_json(plugin);
  command.timeout = std::chrono::seconds(30);
  auto done = run_command(command);
  if (!done.ok()) return done.error().with_context(std::string("network plugin ") + type + " " + verb);
  auto answer = parse_json(done->out.empty() ? "{}" : done->out);
  if (done->exit_code != 0) {
    std::string why = answer.ok() ? string_at(*answer, {"msg"}) : "";
    if (answer.ok() && !string_at(*answer, {"details"}).empty()) why += ": " + string_at(*answer, {"details"});
    if (why.empty()) why = done->err.empty() ? "exit code " + std::to_string(done->exit_code) : done->err.substr(0, 500);
    return Error(Code::Internal, "FailedCreatePodSandBox", std::string("network plugin ") + type + " " + verb + ": " + why);
  }
  if (!answer.ok()) return answer.error().with_context(std::string("network plugin ") + type);
  return answer;
}

}  // namespace

std::vector<Json> cni_plugins(const CniOptions& options, const CniAttachment& a) {
  Json bridge{{"cniVersion", kVersion}, {"name", options.network}, {"type", "bridge"}, {"bridge", options.bridge},
              {"isGateway", true}, {"isDefaultGateway", false}, {"ipMasq", false}, {"hairpinMode", true}};
  if (options.mtu > 0) bridge["mtu"] = options.mtu;
  Json range{{"subnet", options.pod_cidr}};
  bridge["ipam"] = Json{{"type", "host-local"}, {"dataDir", options.data_dir.string()}};
  bridge["ipam"]["ranges"] = Json::array({Json::array({range})});
  bridge["ipam"]["routes"] = Json::array({Json{{"dst", "0.0.0.0/0"}}});
  std::vector<Json> out{bridge};
  if (!a.host_ports.empty()) {
    Json portmap{{"cniVersion", kVersion}, {"name", options.network}, {"type", "portmap"}, {"snat", true}};
    Json mappings = Json::array();
    for (const auto& p : a.host_ports) {
      Json m{{"hostPort", p.host_port}, {"containerPort", p.container_port}, {"protocol", p.protocol}};
      if (!p.host_ip.empty()) m["hostIP"] = p.host_ip;
      mappings.push_back(std::move(m));
    }
    portmap["runtimeConfig"] = Json{{"portMappings", std::move(mappings)}};
    out.push_back(std::move(portmap));
  }
  return out;
}

std::string cni_address(const Json& result) {
  const Json* ips = find(result, {"ips"});
  if (!ips || !ips->is_array()) return "";
  for (const auto& ip : *ips) {
    const std::string address = string_at(ip, {"address"});
    if (address.find(':') == std::string::npos) return address.substr(0, address.find('/'));
  }
  return "";
}

Result<Json> cni_add(const CniOptions& options, const CniAttachment& attachment) {
  Json result;
  for (auto& plugin : cni_plugins(options, attachment)) {
    if (!result.is_null()) plugin["prevResult"] = result;
    auto added = call(options, attachment, "ADD", plugin);
    if (!added.ok()) {
      (void)cni_del(options, attachment, result);
      return added;
    }
    result = std::move(*added);
  }
  return result;
}

Result<void> cni_del(const CniOptions& options, const CniAttachment& attachment, const Json& result) {
  auto plugins = cni_plugins(options, attachment);
  Result<void> first;
  for (auto it = plugins.rbegin(); it != plugins.rend(); ++it) {
    if (!result.is_null()) (*it)["prevResult"] = result;
    auto gone = call(options, attachment, "DEL", *it);
    if (!gone.ok() && first.ok()) first = gone.error();
  }
  return first;
}

std::vector<std::string> cni_leases(const CniOptions& options) {
  std::vector<std::string> out;
  std::error_code ec;
  const auto dir = options.data_dir / options.network;
  for (auto it = std::filesystem::directory_iterator(dir, ec); !ec && it != std::filesystem::directory_iterator(); it.increment(ec)) {
    const auto name = it->path().filename().string();
    if (name == "lock" || name.starts_with("last_reserved_ip")) continue;
    auto text = read_file(it->path(), 4096);
    if (!text.ok()) continue;
    auto id = text->substr(0, text->find_first_of("\r\n"));
    if (!id.empty()) out.push_back(id);
  }
  return out;
}

}  // namespace nodevirt::podrunner
