// Answers the guest's DHCP requests on the pod's bridges. Needs no capability where
// net.ipv4.ip_unprivileged_port_start is 0, as virt-handler sets it in the pod's network namespace.
#pragma once
#include <memory>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pkg/base/file.hpp"
#include "virt-launcher/dhcp/message.hpp"

namespace nodevirt::virt_launcher::dhcp {

struct Service {
  std::string interface;  ///< of the instance, for the log and for acknowledged()
  std::string bridge;
  Lease lease;
};

class Responder {
 public:
  /// Opens a socket per service and starts one thread; an Error names the bridge.
  static Result<std::unique_ptr<Responder>> start(std::vector<Service> services);
  ~Responder();
  /// Whether the guest has taken the address of this interface.
  bool acknowledged(const std::string& interface) const;

 private:
  struct Port {
    Service service;
    Fd socket;
  };
  Responder() = default;
  void run();
  void answer(Port& port);

  std::vector<Port> ports_;
  Fd stop_;
  mutable std::mutex mutex_;
  std::set<std::string> acknowledged_;
  std::thread thread_;
};

}  // namespace nodevirt::virt_launcher::dhcp
