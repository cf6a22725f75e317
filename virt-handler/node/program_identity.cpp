#include "virt-handler/node/program_identity.hpp"

#include <cstdlib>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "pkg/base/file.hpp"

namespace nodevirt::virt_handler {

std::filesystem::path find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? std::filesystem::path(name) : std::filesystem::path();
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
  while (!rest.empty()) {
    std::size_t end = std::min(rest.find(':'), rest.size());
    std::filesystem::path candidate = std::filesystem::path(rest.substr(0, end)) / name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

std::string program_identity(const std::string& name) {
  std::filesystem::path path = name.find('/') == std::string::npos ? find_program(name) : std::filesystem::path(name);
  struct stat info {};
  if (path.empty() || stat(path.c_str(), &info) != 0) return {};
  return fmt::format("{} {} {}.{:09}", path.string(), info.st_size, info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
}

std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 128);
  if (!text.ok()) return {};
  return text->substr(0, text->find('\n'));
}

}  // namespace nodevirt::virt_handler
