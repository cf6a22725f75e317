// Files that a launcher could have put there: opened so that no link leads anywhere else.
#pragma once
#include <filesystem>
#include <string>
#include <sys/types.h>

#include "pkg/base/file.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

/// A regular file below the root of a process's own file system; links are followed only inside of
/// that root. InvalidArgument when it is larger than `max_bytes` or no regular file.
Result<std::string> read_in_root(pid_t pid, const std::string& relative, std::size_t max_bytes);

/// A connected stream socket. `relative` is looked up below `base` without following any link.
/// NotFound without such a file; FailedPrecondition when it is no socket or a link stands in the way;
/// Unavailable when nobody listens. Never blocks.
Result<Fd> connect_beneath(const std::filesystem::path& base, const std::string& relative);

}  // namespace nodevirt::virt_handler
