// What `nodevirt status` prints for people.
#pragma once
#include <string>

#include "pkg/base/json.hpp"

namespace nodevirt::supervisor {

/// From the document of `nodevirt status -o json`. Pure.
std::string status_text(const Json& status);
/// "4.2s", "3m10s", "2h5m", "3d4h".
std::string short_duration(double seconds);
/// "12.3 MiB".
std::string mebibytes(std::int64_t bytes);

}  // namespace nodevirt::supervisor
