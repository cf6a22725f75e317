#include "standalone/nodes/machine_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <fmt/format.h>

namespace nodevirt::nodes {

Result<Fd> lock_machine(std::string_view name, const std::filesystem::path& folder) {
  NV_TRY_VOID(make_dirs(folder, 0755));
  const std::filesystem::path path = folder / fmt::format("{}.lock", name);
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "open " + path.string());
  while (flock(fd.get(), LOCK_EX) != 0)
    if (errno != EINTR) return errno_error(errno, "lock " + path.string());
  return fd;
}

}  // namespace nodevirt::nodes
