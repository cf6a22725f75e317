// The connection to the pod's libvirt daemon, made again whenever it breaks.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "pkg/libvirt/connection.hpp"
#include "pkg/libvirt/domain_events.hpp"

namespace nodevirt::virt_launcher {

/// A thread of its own connects; the callbacks run on that thread (connected) and on libvirt's event loop (event).
class Session {
 public:
  using Connection = std::shared_ptr<libvirt::Connection>;
  struct Callbacks {
    std::function<void(Connection)> connected;  ///< after each connect, with events already subscribed
    std::function<void(libvirt::DomainEvent)> event;
  };
  Session(std::string uri, Callbacks callbacks);
  ~Session();

  /// Waits for a connection up to `timeout`; Unavailable when there is none by then.
  Result<Connection> connection(std::chrono::milliseconds timeout = std::chrono::seconds(20));
  /// A call over `connection` has found it broken: connection() waits for the next one from now on.
  void broken(const Connection& connection);

 private:
  void run();
  bool connect_once(std::string& failure);

  std::string uri_;
  Callbacks callbacks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Connection connection_;
  std::string last_failure_ = "libvirtd has not come up yet";
  bool broken_ = false, stopping_ = false;
  int failures_ = 0;
  std::unique_ptr<libvirt::DomainEvents> events_;
  std::thread thread_;
};

}  // namespace nodevirt::virt_launcher
