#include "standalone/podrunner/pod_start.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "standalone/podrunner/network_namespace.hpp"
#include "standalone/podrunner/seccomp.hpp"

namespace nodevirt::podrunner {
namespace fs = std::filesystem;
namespace {

NV_DECLARE_FAILPOINT(kNamespaceMade, "podrunner.namespace-made");
NV_DECLARE_FAILPOINT(kConnected, "podrunner.connected");
NV_DECLARE_FAILPOINT(kHeld, "podrunner.sandbox-held");
NV_DECLARE_FAILPOINT(kStartNoted, "podrunner.start-noted");
NV_DECLARE_FAILPOINT(kSpawned, "podrunner.spawned");

CniOptions cni_of(const Options& options) {
  CniOptions cni = options.cni;
  if (cni.data_dir.empty()) cni.data_dir = options.node_dir() / "cni";
  return cni;
}

std::string tail_of(const fs::path& path, std::size_t most, int lines) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return "";
  std::string out(std::min<std::size_t>(most, static_cast<std::size_t>(st.st_size)), '\0');
  const auto n = ::pread(fd.get(), out.data(), out.size(), st.st_size - static_cast<off_t>(out.size()));
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  int seen = 0;
  for (std::size_t i = out.size(); i-- > 0;)
    if (out[i] == '\n' && i + 1 != out.size() && ++seen == lines) return out.substr(i + 1);
  return out;
}

Error no_sandbox(Error error) {
  error.reason = "FailedCreatePodSandBox";
  return error;
}

std::optional<Json> connected(const PodPaths& paths) {
  const auto state = read_state(paths.network_file());
  const Json* result = state ? find(*state, {"result"}) : nullptr;
  if (!result || !namespace_id(paths.netns.string())) return std::nullopt;
  return *result;
}

}  // namespace

Result<void> make_network(const Options& options, const PodPaths& paths, const CniAttachment& attachment) {
  std::error_code ec;
  if (fs::exists(paths.network_file(), ec)) {
    if (connected(paths)) return {};
    if (!drop_held(paths)) return no_sandbox(Error(Code::Unavailable, "processes of an earlier attempt do not end, though killed"));
    (void)cni_del(cni_of(options), attachment, Json());
    (void)remove_network_namespace(paths.netns);
  }
  if (auto noted = write_state(paths.network_file(), Json{{"netns", paths.netns.string()}}); !noted.ok()) return no_sandbox(noted.error());
  if (auto made = create_network_namespace(paths.netns); !made.ok()) return no_sandbox(made.error());
  NV_FAILPOINT(kNamespaceMade);
  return {};
}

Result<Json> connect_pod(const Options& options, const PodPaths& paths, const CniAttachment& attachment) {
  if (auto before = connected(paths)) return std::move(*before);
  auto result = cni_add(cni_of(options), attachment);
  if (!result.ok()) return no_sandbox(result.error());
  NV_FAILPOINT(kConnected);
  Json state{{"netns", paths.netns.string()}, {"result", *result}, {"ip", cni_address(*result)}};
  if (auto noted = write_state(paths.network_file(), state); !noted.ok()) return no_sandbox(noted.error());
  return result;
}

SandboxSpec sandbox_spec(const StartContext& c, const std::vector<std::string>& env, const std::vector<Device>& devices) {
  const auto& container = c.pod.containers[0];
  SandboxSpec spec;
  spec.hostname = (c.pod.hostname.empty() ? c.pod.name : c.pod.hostname).substr(0, 63);
  spec.etc_dir = c.paths.etc().string();
  spec.program_dir = c.options.program_dir.string();
  for (const auto& m : container.mounts) {
    const auto& source = c.volumes.at(m.name);
    spec.binds.push_back({source.source, m.path, m.read_only || source.read_only});
  }
  spec.binds.push_back({c.paths.termination_log().string(), container.termination_log, false});
  for (const auto& d : devices) spec.devices.push_back({d.path, d.name, false});
  for (const auto& d : container.devices) spec.devices.push_back({c.volumes.at(d.name).source, d.path, false});
  for (const auto* name : {"ld.so.cache", "alternatives"})
    if (fs::exists(fs::path("/etc") / name)) spec.host_etc.push_back(name);
  for (const auto* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"})
    if (fs::is_symlink(fs::path("/") / name)) spec.root_links.push_back(name);
  spec.uid = c.uid, spec.gid = c.gid;
  if (c.pod.fs_group) spec.groups.push_back(static_cast<unsigned>(*c.pod.fs_group));
  for (const auto g : c.pod.supplemental_groups) spec.groups.push_back(static_cast<unsigned>(g));
  spec.working_dir = container.working_dir;
  std::map<std::string, std::string> names;
  for (const auto& e : env) names[e.substr(0, e.find('='))] = e.substr(e.find('=') + 1);
  for (const auto& word : container.command) spec.command.push_back(expand(word, names));
  for (const auto& word : container.args) spec.command.push_back(expand(word, names));
  return spec;
}

Result<pid_t> hold_container(const StartContext& c) {
  const auto& container = c.pod.containers[0];
  if (!drop_held(c.paths)) return Error(Code::Unavailable, "RunContainerError", "processes of an earlier attempt do not end, though killed");
  NV_TRY_VOID(write_etc(c.options, c.paths, c.pod, c.uid, c.gid));
  NV_TRY(const auto devices, make_devices(c.paths, container, c.uid, c.gid));
  NV_TRY(auto env, environment(c.pod, container, c.objects, c.place));
  env.push_back("NODEVIRT_POD_UID=" + c.pod.uid);
  {
    Fd log(::open(c.paths.log().c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
    if (!log) return errno_error(errno, "create the container's log");
    if (c.options.log_gid != 0) (void)!::fchown(log.get(), static_cast<uid_t>(-1), c.options.log_gid);
    Fd message(::open(c.paths.termination_log().c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!message || ::fchown(message.get(), c.uid, c.gid) != 0) return errno_error(errno, "create the container's termination log");
  }
  auto spec = sandbox_spec(c, env, devices);
  spec.hold_fd = 4;
  Fd filter;
  if (c.options.seccomp) {
    NV_TRY(filter, seccomp_filter());
    spec.seccomp_fd = 5;
  }
  SpawnRequest request;
  request.argv = sandbox_argv(spec);
  request.env = std::move(env);
  request.netns = c.paths.netns.string();
  request.log = c.paths.log().string();
  request.status = c.paths.status().string();
  request.hold = c.paths.hold().string();
  request.seccomp_fd = filter.get();
  if (c.options.cgroups) request.cgroups = make_cgroups(c.cgroups, c.options.node_name, c.pod);
  ::unlink(request.status.c_str());
  ::unlink(c.paths.start_file().c_str());  // of a start that came to nothing
  auto pid = spawn_sandbox(request);
  if (!pid.ok()) {
    auto error = pid.error().with_context("start container " + container.name);
    error.reason = "RunContainerError";
    return error;
  }
  NV_FAILPOINT(kHeld);
  return pid;
}

Result<void> release_container(const StartContext& c, const std::string& pod_ip, const std::string& now) {
  NV_TRY_VOID(write_hosts(c.options, c.paths, c.pod, pod_ip));
  NV_TRY_VOID(write_state(c.paths.start_file(), Json{{"bootID", boot_id()}, {"startedAt", now}}));
  NV_FAILPOINT(kStartNoted);
  if (auto released = release_sandbox(c.paths.hold().string()); !released.ok()) {
    ::unlink(c.paths.start_file().c_str());
    auto error = released.error().with_context("start container " + c.pod.containers[0].name);
    error.reason = "RunContainerError";
    return error;
  }
  NV_FAILPOINT(kSpawned);
  return {};
}

bool drop_held(const PodPaths& paths) {
  std::error_code ec;
  if (!fs::exists(paths.hold(), ec) || fs::exists(paths.start_file(), ec)) return true;
  if (!kill_sandbox(paths.netns.string(), 100)) return false;
  ::unlink(paths.hold().c_str());
  return true;
}

Remains look_for_pod(const PodPaths& paths, const std::string& uid) {
  Remains out;
  std::error_code ec;
  out.folder = fs::exists(paths.pod_file(), ec);
  if (!out.folder) return out;
  if (auto network = read_state(paths.network_file())) out.pod_ip = string_at(*network, {"ip"});
  if (auto exit = read_state(paths.exit_file())) {
    out.kind = Remains::Kind::Ended;
    auto& c = out.container;
    c.state = ContainerFacts::State::Terminated;
    c.exit_code = static_cast<int>(int_at(*exit, {"exitCode"}));
    c.reason = string_at(*exit, {"reason"});
    c.message = string_at(*exit, {"message"});
    c.started_at = string_at(*exit, {"startedAt"});
    c.finished_at = string_at(*exit, {"finishedAt"});
    return out;
  }
  auto start = read_state(paths.start_file());
  std::error_code e2;
  if (!start && !fs::exists(paths.start_file(), e2)) return out;
  out.started_at = start ? string_at(*start, {"startedAt"}) : "";
  const bool same_boot = start && string_at(*start, {"bootID"}) == boot_id();
  const auto status = read_sandbox_status(paths.status().string());
  if (same_boot) {
    recover_netns(paths.netns.string(), status, uid);
    auto found = find_sandbox(paths.netns.string());
    if (found.alive()) {
      // Noted, and perhaps not done.
      if (auto released = release_sandbox(paths.hold().string()); !released.ok()) log::error("{}", released.error().message);
      out.kind = Remains::Kind::Running;
      out.leader = found.shim > 0 ? found.shim : found.init > 0 ? found.init : found.all.front();
      return out;
    }
    // Noted, but bwrap never got as far as making the container.
    const auto again = read_sandbox_status(paths.status().string());
    if (again.init == 0) return out;
  }
  out.kind = Remains::Kind::Ended;
  out.container.state = ContainerFacts::State::Terminated;
  out.container.started_at = out.started_at;
  if (status.exit_code) {
    out.container.exit_code = *status.exit_code;
    out.container.reason = *status.exit_code == 0 ? "Completed" : "Error";
  } else {
    out.container.exit_code = 137;
    out.container.reason = "ContainerStatusUnknown";
    out.container.message = same_boot ? "The container could not be located when the node's pod runner came back"
                                      : "The machine was restarted while the container ran";
  }
  return out;
}

ContainerFacts record_exit(const PodPaths& paths, const ContainerView& container, const std::string& started_at,
                           const std::string& finished_at) {
  const auto status = read_sandbox_status(paths.status().string());
  ContainerFacts out;
  out.state = ContainerFacts::State::Terminated;
  out.started_at = started_at;
  out.finished_at = finished_at;
  if (status.init == 0) {
    out.exit_code = 128;
    out.reason = "StartError";
    out.message = tail_of(paths.log(), 2048, 5);
  } else if (!status.exit_code) {
    out.exit_code = 137;
    out.reason = "ContainerStatusUnknown";
    out.message = "The process that keeps the container's exit code was killed";
  } else {
    out.exit_code = *status.exit_code;
    out.reason = out.exit_code == 0 ? "Completed" : "Error";
    out.message = tail_of(paths.termination_log(), 4096, 1000);
    if (out.message.empty() && container.termination_policy == "FallbackToLogsOnError" && out.exit_code != 0)
      out.message = tail_of(paths.log(), 2048, 80);
  }
  auto noted = write_state(paths.exit_file(), Json{{"exitCode", out.exit_code}, {"reason", out.reason}, {"message", out.message},
                                                   {"startedAt", out.started_at}, {"finishedAt", out.finished_at}});
  if (!noted.ok()) log::warning("{}", noted.error().message);
  return out;
}

Result<void> take_down(const Options& options, const PodPaths& paths, const CniAttachment& attachment, const CgroupLayout& cgroups) {
  if (!kill_sandbox(paths.netns.string(), 250))
    return Error(Code::Unavailable, "processes of the pod do not end, though killed (blocked in the kernel?)");
  std::error_code ec;
  if (auto network = read_state(paths.network_file())) {
    const Json* result = find(*network, {"result"});
    auto gone = cni_del(cni_of(options), attachment, result ? *result : Json());
    if (!gone.ok()) return gone;
  }
  NV_TRY_VOID(remove_network_namespace(paths.netns));
  fs::remove(paths.network_file(), ec);
  remove_cgroups(cgroups, options.node_name, attachment.uid);
  return {};
}

Result<void> remove_pod(const Options& options, const PodPaths& paths, const std::string& holder, images::Store& store) {
  (void)options;
  NV_TRY_VOID(unmount_below(paths.root));
  store.release(holder);
  std::error_code ec;
  fs::remove_all(paths.root, ec);
  if (ec) return Error(Code::Internal, "remove " + paths.root.string() + ": " + ec.message());
  return {};
}

void trim_log(const fs::path& log) {
  constexpr std::uint64_t kMost = 16u << 20;
  std::error_code ec;
  const auto size = fs::file_size(log, ec);
  if (ec || size <= kMost) return;
  {
    // Cut at the front in one step where the file system can: nothing is lost that is written meanwhile.
    constexpr std::uint64_t kBlock = 64 << 10;
    Fd whole(::open(log.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (whole && ::fallocate(whole.get(), FALLOC_FL_COLLAPSE_RANGE, 0, static_cast<off_t>((size - kMost / 2) / kBlock * kBlock)) == 0) return;
  }
  const std::string kept = tail_of(log, kMost / 2, 1 << 30);
  // Writers append, so they go on at the new end.
  Fd fd(::open(log.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), 0) != 0) return;
  (void)!::write(fd.get(), kept.data(), kept.size());
}

}  // namespace nodevirt::podrunner
