// A link between two pods that can be cut and held.
#pragma once
#include <atomic>
#include <filesystem>
#include <thread>

#include "pkg/base/file.hpp"

namespace nodevirt::test {

/// Passes bytes between two unix sockets until it is cut. Connections after the cut are refused.
class Relay {
 public:
  Relay(std::filesystem::path listen, std::filesystem::path connect);
  ~Relay();
  /// Ends all connections at once, without a last byte.
  void cut();
  /// Keeps the connections and passes nothing on, in either direction, until told otherwise.
  void hold(bool on) { held_ = on; }
  /// The same for what the listener's side is answered: requests still go through.
  void hold_answers() { answers_held_ = true; }

 private:
  void run();
  struct Link { Fd a, b; bool a_open = true, b_open = true; };
  std::filesystem::path listen_, connect_;
  Fd listener_, wake_;
  std::atomic<bool> stop_ = false, cut_ = false, held_ = false, answers_held_ = false;
  std::thread thread_;
};

}  // namespace nodevirt::test
