#include "standalone/podrunner/process_table.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <charconv>

namespace nodevirt::podrunner {
namespace {

std::string slurp(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string out;
  if (!fd) return out;
  char buffer[4096];
  ssize_t n;
  while ((n = ::read(fd.get(), buffer, sizeof buffer)) > 0 && out.size() < 65536) out.append(buffer, static_cast<std::size_t>(n));
  return out;
}

}  // namespace

std::optional<std::uint64_t> start_time(pid_t pid) {
  const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
  const auto paren = stat.rfind(')');
  if (paren == std::string::npos || paren + 2 >= stat.size()) return std::nullopt;
  std::istringstream fields(stat.substr(paren + 2));
  std::string field;
  // State is the third field of the line, the start time the 22nd. A zombie is gone for our purposes.
  for (int i = 3; i <= 22; ++i) {
    if (!(fields >> field)) return std::nullopt;
    if (i == 3 && (field == "Z" || field == "X")) return std::nullopt;
  }
  std::uint64_t out = 0;
  std::from_chars(field.data(), field.data() + field.size(), out);
  return out;
}

std::string boot_id() {
  std::string id = slurp("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

NamespaceId namespace_id(const std::string& path) {
  constexpr long kNsfsMagic = 0x6e736673;
  struct stat st {};
  struct statfs fs {};
  if (::stat(path.c_str(), &st) != 0 || ::statfs(path.c_str(), &fs) != 0 || fs.f_type != kNsfsMagic) return {};
  return {st.st_dev, st.st_ino};
}

std::vector<ProcessInfo> processes_in(const NamespaceId& net) {
  std::vector<ProcessInfo> out;
  if (!net) return out;
  const auto own = namespace_id("/proc/self/ns/pid");
  DIR* dir = ::opendir("/proc");
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name.empty() || name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string base = "/proc/" + name;
    struct stat st {};
    if (::stat((base + "/ns/net").c_str(), &st) != 0 || st.st_dev != net.device || st.st_ino != net.inode) continue;
    ProcessInfo info;
    info.pid = std::atoi(name.c_str());
    info.own_pid_namespace = !(namespace_id(base + "/ns/pid") == own);
    info.name = slurp(base + "/comm");
    while (!info.name.empty() && info.name.back() == '\n') info.name.pop_back();
    out.push_back(std::move(info));
  }
  ::closedir(dir);
  return out;
}

Result<Fd> open_pid(pid_t pid) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd && errno == ESRCH) return Error(Code::NotFound, "no process " + std::to_string(pid));
  if (!fd) return errno_error(errno, "open process " + std::to_string(pid));
  return fd;
}

bool heeds_sigterm(pid_t pid) {
  const std::string status = slurp("/proc/" + std::to_string(pid) + "/status");
  for (const char* field : {"\nSigCgt:\t", "\nSigBlk:\t"}) {
    const auto at = status.find(field);
    if (at == std::string::npos) continue;
    if (std::strtoull(status.c_str() + at + 9, nullptr, 16) & (1ull << (SIGTERM - 1))) return true;
  }
  return false;
}

pid_t inner_pid(pid_t pid) {
  const std::string status = slurp("/proc/" + std::to_string(pid) + "/status");
  const auto at = status.find("\nNSpid:");
  if (at == std::string::npos) return 0;
  auto line = status.substr(at + 7, status.find('\n', at + 1) - at - 7);
  const auto tab = line.find_last_of(" \t");
  return std::atoi(line.c_str() + (tab == std::string::npos ? 0 : tab + 1));
}

}  // namespace nodevirt::podrunner
