// The blocking halves of a pod's life: connect, start, look for what an earlier runner left, take down.
#pragma once
#include <string>
#include <vector>

#include "standalone/podrunner/cgroup.hpp"
#include "standalone/podrunner/pod_directory.hpp"
#include "standalone/podrunner/pod_status.hpp"
#include "standalone/podrunner/sandbox.hpp"
#include "standalone/podrunner/sandbox_command.hpp"
#include "standalone/podrunner/volumes.hpp"

namespace nodevirt::podrunner {

/// The pod's network namespace; what an earlier attempt left in the way of a connected one is undone first.
Result<void> make_network(const Options& options, const PodPaths& paths, const CniAttachment& attachment);
/// CNI ADD, after make_network; one that was done before counts. Returns the CNI result.
Result<Json> connect_pod(const Options& options, const PodPaths& paths, const CniAttachment& attachment);

struct StartContext {
  const Options& options;
  const PodPaths& paths;
  const PodView& pod;
  const Objects& objects;
  const MountedVolumes& volumes;
  Place place;                               ///< without the pod's address, if the environment does not hold it
  unsigned uid, gid;
  const CgroupLayout& cgroups;
};
/// The sandbox of the pod's container, as rendered from the pod. Pure but for what the host's / looks like.
SandboxSpec sandbox_spec(const StartContext& context, const std::vector<std::string>& env, const std::vector<Device>& devices);
/// Makes the sandbox, which takes about as long as the network: this goes on beside connect_pod. Nothing of the container
/// runs yet. Returns the pid to watch.
Result<pid_t> hold_container(const StartContext& context);
/// Starts the container in its sandbox, connected by now. Noted first: a runner that finds the note finishes the start, one that
/// does not find it ends the sandbox.
Result<void> release_container(const StartContext& context, const std::string& pod_ip, const std::string& now);
/// Ends a sandbox whose container was not started; false when its processes do not end. Repeatable.
bool drop_held(const PodPaths& paths);

/// What an earlier runner left of a pod.
struct Remains {
  enum class Kind { Nothing, Running, Ended } kind = Kind::Nothing;  ///< Nothing: no instruction of it ever ran
  bool folder = false;
  pid_t leader = 0;
  std::string pod_ip, started_at;
  ContainerFacts container;                  ///< of Ended
};
Remains look_for_pod(const PodPaths& paths, const std::string& uid);

/// The facts of a container whose processes are gone; written down, so that the same is told after a restart.
ContainerFacts record_exit(const PodPaths& paths, const ContainerView& container, const std::string& started_at,
                           const std::string& finished_at);

/// Every process gone (killed), network and cgroups undone. Repeatable.
Result<void> take_down(const Options& options, const PodPaths& paths, const CniAttachment& attachment, const CgroupLayout& cgroups);
/// After take_down: mounts, image holds and the folder. Repeatable.
Result<void> remove_pod(const Options& options, const PodPaths& paths, const std::string& holder, images::Store& store);
/// Keeps the newer half of a log that has grown beyond 16 MiB.
void trim_log(const std::filesystem::path& log);

}  // namespace nodevirt::podrunner
