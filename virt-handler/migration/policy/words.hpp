// The policy's numbers as sentences for a person.
#pragma once
#include <string>

#include "virt-handler/migration/policy/forecast.hpp"
#include "virt-handler/migration/policy/job_view.hpp"

namespace nodevirt::virt_handler::migration {

struct Facts {
  const Settings& settings;
  const JobView& job;
  double last_rate = 0;              ///< bytes per second of the last step; 0: not known
  double last_step = 0;              ///< seconds that it would take
};

/// "writes 99 MiB/s into a 120 MiB working set; at 60 MiB/s the last step needs 1.7 s, 0.3 s allowed"
std::string obstacle(const Facts& facts);
/// "writes 20 MiB/s, 60 MiB/s are sent"
std::string rates(const Facts& facts);
/// Of a job before its second pass: "copying disks: ..." or "first pass ...".
std::string beginning(const Facts& facts);

}  // namespace nodevirt::virt_handler::migration
