// One pod on this node, from its binding to its confirmed deletion.
#pragma once
#include <memory>
#include <string>

#include "pkg/runtime/event_recorder.hpp"
#include "pkg/runtime/informer.hpp"
#include "standalone/podrunner/cgroup.hpp"
#include "standalone/podrunner/image_puller.hpp"
#include "standalone/podrunner/options.hpp"
#include "standalone/podrunner/pod_directory.hpp"
#include "standalone/podrunner/pod_status.hpp"
#include "standalone/podrunner/sandbox.hpp"
#include "standalone/podrunner/volumes.hpp"

namespace nodevirt::podrunner {

/// The contract, whatever dies in between and however often it is repeated:
/// - a container runs at most once (restartPolicy Never);
/// - the pod's object is deleted only after every process of the pod is known to be gone and its mounts,
///   network and folder are undone;
/// - a pod that runs while the runner does not, goes on, and is found again.
class PodWorker : public std::enable_shared_from_this<PodWorker> {
 public:
  struct Deps {
    const Options& options;
    client::Client client;
    Clock& clock;
    runtime::EventRecorder& events;
    ImagePuller& images;
    const CgroupLayout& cgroups;
    /// Whether the pod may run here, asked once before it starts.
    std::function<std::optional<Refusal>(const PodView&)> admit;
  };

  /// `object` as the server has it, or (with `gone`) as it was when the pod started.
  PodWorker(Deps deps, Executor executor, PodView pod, std::shared_ptr<const Json> object, bool gone);

  /// Until the pod is gone from the node (then `finished`), or stopped.
  Awaitable<void> run(StopToken stop);
  void update(PodView pod, std::shared_ptr<const Json> object);
  void removed();                            ///< the object is gone from the server: ends without grace
  void evict(std::string reason, std::string message);
  /// emptyDir limits and the size of the log; called now and then.
  Awaitable<void> housekeeping();

  bool finished() const { return stage_ == Stage::Gone; }
  /// Counts for admission: on the node, and not over.
  bool occupies() const { return stage_ == Stage::Starting || stage_ == Stage::Running; }
  const PodView& pod() const { return pod_; }

 private:
  enum class Stage { Starting, Running, Ended, Gone };
  struct Network {
    Json result;
    std::string ip;
  };

  /// Doubles with each failure, from `first` to `most`.
  static Clock::Duration back_off(int failures, Clock::Duration first, Clock::Duration most);
  bool ending() const;
  Awaitable<void> adopt();
  Awaitable<void> advance(StopToken stop);
  Awaitable<void> start(StopToken stop);
  Awaitable<Result<void>> try_start(StopToken stop);
  Awaitable<Result<std::map<std::string, images::Image>>> fetch_images(StopToken stop);
  Awaitable<Result<Objects>> fetch_objects();
  Awaitable<Result<std::string>> fetch_logins();
  Awaitable<Result<std::map<std::string, Json>>> fetch_claims();
  Awaitable<void> end_container();
  Awaitable<void> container_ended();
  Awaitable<Result<void>> take_down_sandbox();
  Awaitable<bool> report();
  Awaitable<bool> confirm_deletion();
  void running(pid_t leader, std::string started_at);
  void start_probes(bool ready_before);
  void start_failed(const Error& error);
  Awaitable<void> watch_processes(pid_t leader);
  void event(const char* type, const std::string& reason, const std::string& message);
  std::string now() const;
  std::optional<Clock::Duration> until_next() const;
  unsigned uid() const;
  unsigned gid() const;
  std::string holder() const;
  CniAttachment attachment() const;
  const ContainerView& container() const { return pod_.containers[0]; }

  Deps deps_;
  Executor executor_;
  PodView pod_;
  std::shared_ptr<const Json> object_;
  PodPaths paths_;
  Wake wake_;
  PodFacts facts_;
  Stage stage_ = Stage::Starting;
  bool gone_ = false;                        ///< no object on the server
  bool admitted_ = false, silent_ = false, sandbox_down_ = false, processes_gone_ = false, unhealthy_ = false;
  bool term_sent_ = false;
  Clock::Time term_started_{};
  Task<Result<Network>> network_;
  int failures_ = 0, report_failures_ = 0;
  std::string last_failure_;
  std::optional<Clock::Time> next_try_, next_report_, kill_at_, term_patience_;
  StopSource probes_;
};

}  // namespace nodevirt::podrunner
