// Container logs as the pod runner leaves them: ROOT/nodes/NODE/pods/UID/containers/NAME/log, one line
// per entry "TIME stream F text" (the CRI form) or plain text; previous runs are log.1.
#pragma once
#include <filesystem>

#include "standalone/apiserver/options.hpp"

namespace nodevirt::apiserver {

PodLogs log_files(std::filesystem::path root);

/// One line as a client sees it; empty optional when it lies before `since`.
struct LogLine {
  std::string time;   ///< RFC 3339, empty for plain text
  std::string text;
};
LogLine parse_log_line(std::string_view line);

}  // namespace nodevirt::apiserver
