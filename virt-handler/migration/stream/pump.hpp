// Moves bytes between a node's connection and a pod's socket, both ways, on a thread of its own: one buffer per
// direction, read in big pieces and written straight out of it. Also without TLS: through a pipe (splice) the bytes cross
// a page at a time, and a migration took longer than with TLS.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <openssl/types.h>

#include "pkg/net/fd_stream.hpp"

namespace nodevirt::virt_handler::migration {

class Pump {
 public:
  struct Totals {
    std::uint64_t to_pod = 0, from_pod = 0;   ///< bytes
    std::string error;                        ///< why it ended before both directions had; empty: they had
  };
  /// Bytes; of several pumps together.
  using Counter = std::shared_ptr<std::atomic<std::uint64_t>>;
  /// Owns both ends from here on. `ended` is called once, on the pump's own thread, when all is closed; nothing of
  /// the pump is touched after that. The ends of half a stream are carried over one by one. `from_pod` is kept up to date as it goes.
  static std::shared_ptr<Pump> start(net::FdStream::Raw node, int pod_fd, std::function<void(const Totals&)> ended, Counter from_pod = nullptr);
  /// Ends it soon, whatever it does. From any thread, any number of times.
  void abort();
  /// From now on a node that is silent is waited for as long as post-copy waits (patience.hpp). From any thread.
  void be_patient() { patient_ = true; }
  /// The node has been silent for longer than an idle connection is; of a patient one.
  bool silent() const { return silent_; }

 private:
  friend class PumpLoop;
  Pump(int node_fd, int pod_fd) : node_fd_(node_fd), pod_fd_(pod_fd) {}

  std::mutex mutex_;          ///< guards the descriptors' being open
  int node_fd_, pod_fd_;      ///< -1: closed
  std::atomic<bool> aborted_ = false, patient_ = false, silent_ = false;
};

}  // namespace nodevirt::virt_handler::migration
