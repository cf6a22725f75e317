// The launchers of this node: a second source of changes beside the API server.
#pragma once
#include <functional>
#include <map>
#include <memory>

#include "pkg/base/clock.hpp"
#include "pkg/rpc/launcher_client.hpp"
#include "virt-handler/instances/objects.hpp"
#include "virt-handler/instances/plan.hpp"

namespace nodevirt::virt_handler {

/// What is known of one launcher pod. Read and written on the program's one executor.
struct Launcher {
  std::shared_ptr<const PodObject> pod;          ///< as it was last seen
  bool pod_gone = false;                         ///< deleted from the API server
  pid_t pid = 0;                                 ///< of the process behind the socket; 0: not known yet
  std::shared_ptr<rpc::LauncherClient> client;   ///< null while not connected
  bool connected = false;                        ///< the stream is open and has told the state
  std::optional<launcher::v1::DomainState> domain;
  std::string domain_message;
  std::optional<Clock::Time> absent_since;       ///< the launcher sees no domain: there is none, or libvirt is away
  Clock::Time unreachable_since{};
  NetworkState network = NetworkState::Pending;
  bool network_begun = false;                    ///< its preparation was begun once
  std::optional<Error> network_error;
  std::vector<launcher::v1::InterfaceOptions> interfaces;
  std::optional<launcher::v1::GuestInfo> guest;
  StopSource stop;

  launcher::v1::DomainRequest request() const;
};

class Launchers {
 public:
  struct Deps {
    Executor executor;
    Clock& clock;
    std::filesystem::path kubelet_root;
    unsigned launcher_uid = 107;
    /// The instance "namespace/name" is to be looked at again.
    std::function<void(std::string key)> changed;
    /// Every event of every domain, for those who follow along.
    std::function<void(const Launcher&, const launcher::v1::DomainEvent&)> told;
    /// The instance as it is, also when it is not handed over yet: its network is prepared meanwhile.
    std::function<Awaitable<Result<std::shared_ptr<const api::Instance>>>(std::string ns, std::string name, std::string uid)> instance;
  };
  explicit Launchers(Deps deps);
  ~Launchers();

  void pod_changed(const std::shared_ptr<const PodObject>& old, const std::shared_ptr<const PodObject>& now);
  /// By the instance's uid; null when no pod of it is or was here.
  std::shared_ptr<Launcher> of_instance(const std::string& instance_uid) const;
  /// By the pod's name; null when it is not here.
  std::shared_ptr<Launcher> of_pod(const std::string& ns, const std::string& pod) const;
  /// Where the instance's guest is, when it migrates: of_instance() answers this pod's launcher, where it is here.
  void set_active(const std::string& instance_uid, std::string pod);
  /// All pods of instances of that name; there may be one of a previous life.
  std::vector<std::shared_ptr<Launcher>> of_key(const std::string& key) const;
  std::vector<std::shared_ptr<Launcher>> all() const;
  /// Prepares the network again; returns when it is done.
  Awaitable<void> prepare_network(std::shared_ptr<Launcher> launcher, std::shared_ptr<const api::Instance> vmi);
  /// Drops pods of the instance that are gone and not the active one (former sources of migrations).
  void forget_former(const std::string& instance_uid);
  /// Drops what is remembered of pods that are gone, once nobody needs it.
  void forget_gone(const std::string& instance_uid);
  void stop();

  /// kubelet's layout: the folder of one emptyDir of a pod.
  std::filesystem::path empty_dir(const PodObject& pod, std::string_view volume) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler
