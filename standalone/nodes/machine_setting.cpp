#include "standalone/nodes/machine_setting.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "pkg/base/file.hpp"

namespace nodevirt::nodes {

std::string read_setting(const std::filesystem::path& path) {
  std::string text = read_file(path, 4096).value_or("");
  return text.substr(0, text.find('\n'));
}

Result<void> write_setting(const std::filesystem::path& path, std::string_view value) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || write(fd.get(), value.data(), value.size()) < 0) return errno_error(errno, "write " + path.string());
  return {};
}

std::string boot_id() { return read_setting("/proc/sys/kernel/random/boot_id"); }

}  // namespace nodevirt::nodes
