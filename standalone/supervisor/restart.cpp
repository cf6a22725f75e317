#include "standalone/supervisor/program.hpp"

namespace nodevirt::supervisor {

std::chrono::milliseconds restart_delay(int failures) {
  if (failures <= 1) return std::chrono::milliseconds(0);
  const int doublings = std::min(failures - 2, 9);
  return std::min(std::chrono::milliseconds(100) * (1 << doublings), std::chrono::milliseconds(30000));
}

}  // namespace nodevirt::supervisor
