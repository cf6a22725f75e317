#include "pkg/runtime/identity.hpp"

#include <charconv>
#include <unistd.h>

#include <fmt/format.h>

#include "pkg/base/file.hpp"

namespace nodevirt::runtime {

namespace {

std::string host() {
  char name[256] = "localhost";
  gethostname(name, sizeof name - 1);
  return name;
}

// The first part of the boot id, and the number of the pid namespace.
std::string place() {
  auto boot = read_file("/proc/sys/kernel/random/boot_id", 64);
  char link[64] = {};
  if (!boot.ok() || readlink("/proc/self/ns/pid", link, sizeof link - 1) < 0) return "";
  std::string digits;
  for (const char* c = link; *c; ++c)
    if (*c >= '0' && *c <= '9') digits += *c;
  return boot->substr(0, 8) + "." + digits;
}

// In clock ticks since boot; empty when there is no such process.
std::string started(long pid) {
  auto stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!stat.ok()) return "";
  auto at = stat->rfind(')');
  if (at == std::string::npos) return "";
  std::size_t field = 2;
  for (std::size_t i = at + 1; i < stat->size(); ++i) {
    if ((*stat)[i] != ' ') continue;
    if (++field == 3 && i + 1 < stat->size() && ((*stat)[i + 1] == 'Z' || (*stat)[i + 1] == 'X')) return "";
    if (field == 22) return stat->substr(i + 1, stat->find(' ', i + 1) - i - 1);
  }
  return "";
}

}  // namespace

std::string process_identity() {
  long pid = getpid();
  return fmt::format("{}_{}.{}.{}", host(), place(), pid, started(pid));
}

bool process_is_gone(const std::string& identity) {
  std::string here = host() + "_" + place() + ".";
  if (place().empty() || !identity.starts_with(here)) return false;
  std::string rest = identity.substr(here.size());
  auto dot = rest.find('.');
  if (dot == std::string::npos) return false;
  long pid = 0;
  auto [end, error] = std::from_chars(rest.data(), rest.data() + dot, pid);
  if (error != std::errc() || end != rest.data() + dot || pid <= 0) return false;
  return started(pid) != rest.substr(dot + 1);
}

}  // namespace nodevirt::runtime
