// A launcher pod without a cluster: virt-launcher-monitor with everything below one temporary folder, as an
// unprivileged user (libvirt's session mode needs one).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/rpc/launcher_client.hpp"

namespace nodevirt::test {

class Pod {
 public:
  struct Options {
    std::vector<std::string> monitor_args = {};
    std::string environment = {};  ///< one NAME=VALUE per line
    std::uint64_t address_space = 0;  ///< bytes that each of its processes may map; 0: no limit
    /// Changes what this pod's libvirt believes of QEMU (its capability cache); none: the truth.
    std::function<void(std::string& xml)> capabilities = {};
  };
  explicit Pod(Options options);
  explicit Pod(std::vector<std::string> monitor_args = {}, std::string environment = "") : Pod(Options{std::move(monitor_args), std::move(environment)}) {}
  ~Pod();

  std::filesystem::path path(std::string_view inside) const { return root_.path().string() + std::string(inside); }
  /// Runs an awaitable to its end.
  template <class T>
  T wait(Awaitable<T> task) {
    return boost::asio::co_spawn(io_, std::move(task), boost::asio::use_future).get();
  }
  /// Waits until the launcher answers, and keeps the client.
  rpc::LauncherClient& client();
  /// Forgets the client; the next client() connects anew.
  void forget_client() { client_.reset(); }

  rpc::v1::SyncRequest sync_request(const Json& changes = Json::object()) const;
  rpc::v1::DomainRequest domain_request() const;
  Result<rpc::v1::DomainState> sync(const Json& changes = Json::object());
  rpc::v1::DomainState state();
  /// Reads from `watch` until an event has this lifecycle or detail; fails the test after 30 s.
  rpc::v1::DomainEvent await_event(rpc::DomainWatch& watch, std::string_view lifecycle_or_detail);

  pid_t monitor() const { return monitor_; }
  /// The monitor's child whose command name begins with `name`; 0 when there is none.
  pid_t child(std::string_view name) const;
  /// Whether no thread of a process returns to its program: it may still be giving back its memory.
  static bool has_left(pid_t pid);
  /// Waits up to 30 s for `condition`.
  static bool eventually(const std::function<bool()>& condition);
  /// Waits for the monitor's end and gives its exit code; -1 after 60 s.
  int exit_code();
  void signal_monitor(int signal) const;

  static constexpr const char* kUid = "0b6b9e3c-1a9c-4f51-8f0e-2d4a5a2f0a0a";

 private:
  TempDir root_;
  bool truthful_;
  pid_t monitor_ = 0;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  std::thread thread_;
  std::unique_ptr<rpc::LauncherClient> client_;
};

}  // namespace nodevirt::test
