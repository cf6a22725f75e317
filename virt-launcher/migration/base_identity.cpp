#include "virt-launcher/migration/base_identity.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include "pkg/base/file.hpp"

namespace nodevirt::virt_launcher::migration {

std::string base_identity(const std::filesystem::path& base) {
  struct stat st {};
  auto boot = read_file("/proc/sys/kernel/random/boot_id", 64);
  if (base.empty() || !boot.ok() || ::stat(base.c_str(), &st) != 0) return {};
  return fmt::format("{}/{}/{}/{}/{}.{}", boot->substr(0, 36), st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

}  // namespace nodevirt::virt_launcher::migration
