// The launcher's gRPC server on its unix socket.
#pragma once
#include <memory>

#include "virt-launcher/guest.hpp"

namespace nodevirt::virt_launcher {

class Server {
 public:
  virtual ~Server() = default;  ///< stops it; calls in flight are cancelled

  /// Listens under a preliminary name and takes the real one when it can serve.
  static Result<std::unique_ptr<Server>> start(Guest& guest, EventHub& hub, const Paths& paths);
};

}  // namespace nodevirt::virt_launcher
