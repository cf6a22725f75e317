// Counters in Prometheus' text form.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace nodevirt::virt_api {

struct Metrics {
  std::map<std::pair<std::string, int>, std::uint64_t> requests;  ///< by kind of request and class of answer
  std::int64_t console = 0, vnc = 0, port_forward = 0;            ///< open now
  std::string text(bool ready) const;
};

}  // namespace nodevirt::virt_api
