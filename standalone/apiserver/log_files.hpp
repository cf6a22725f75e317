// Container logs as the pod runner leaves them: ROOT/nodes/NODE/pods/UID/containers/NAME/log, one line
// per entry "TIME stream F text" (the CRI form) or plain text, which may begin with its time; previous runs are log.1.
#pragma once
#include <filesystem>

#include "standalone/apiserver/options.hpp"

namespace nodevirt::apiserver {

/// A log that is followed ends with its container (exit.json beside it) or its pod; one that is cut at its front
/// meanwhile goes on where it was. Lines without a time count as as old as the one before them.
PodLogs log_files(std::filesystem::path root);

/// One line as a client sees it.
struct LogLine {
  std::string time;   ///< RFC 3339, empty when the line has none
  std::string text;
};
LogLine parse_log_line(std::string_view line);

}  // namespace nodevirt::apiserver
