#include "pkg/base/failpoint.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <string_view>
#include <unistd.h>

namespace nodevirt::failpoint {

namespace {

struct Armed {
  bool kill = false;
  int at = 1;
  int passes = 0;
};

struct Registry {
  std::mutex mutex;
  std::vector<std::string> names;
  std::map<std::string, Armed, std::less<>> armed;
  std::string folder;
  Registry() {
    if (const char* path = std::getenv("NODEVIRT_FAILPOINTS_DIR")) folder = path;
    const char* env = std::getenv("NODEVIRT_FAILPOINTS");
    std::string_view rest = env ? env : "";
    while (!rest.empty()) {
      auto item = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      auto eq = item.find('=');
      if (eq == std::string_view::npos) continue;
      Armed a;
      auto action = item.substr(eq + 1);
      if (auto n = action.find('@'); n != std::string_view::npos) {
        a.at = std::max(1, std::atoi(std::string(action.substr(n + 1)).c_str()));
        action = action.substr(0, n);
      }
      a.kill = action == "kill";
      armed.emplace(std::string(item.substr(0, eq)), a);
    }
  }
};

// A program that is started again with the same environment must not die again at the same place.
bool first_firing(const char* name) {
  const char* folder = std::getenv("NODEVIRT_FAILPOINTS_ONCE_DIR");
  if (!folder) return true;
  int fd = ::open((std::string(folder) + "/" + name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  ::close(fd);
  return true;
}

bool hit_in_folder(const std::string& path) {
  const std::string fired = path + ".fired";
  if (::rename(path.c_str(), fired.c_str()) != 0) return false;
  char text[8] = {};
  if (int fd = ::open(fired.c_str(), O_RDONLY | O_CLOEXEC); fd >= 0) {
    [[maybe_unused]] auto n = ::read(fd, text, sizeof text - 1);
    ::close(fd);
  }
  std::string_view action = text;
  if (action.starts_with("kill")) ::kill(::getpid(), SIGKILL);
  if (action.starts_with("stop")) ::kill(::getpid(), SIGSTOP);
  return action.starts_with("error");
}

Registry& registry() {
  static auto* r = new Registry;
  return *r;
}

}  // namespace

Registration::Registration(const char* name) {
  std::lock_guard lock(registry().mutex);
  registry().names.emplace_back(name);
}

void use_folder(std::string path) { registry().folder = std::move(path); }

bool hit(const char* name) {
  Registry& r = registry();
  if (!r.folder.empty() && hit_in_folder(r.folder + "/" + name)) return true;
  if (r.armed.empty()) return false;
  std::lock_guard lock(r.mutex);
  auto it = r.armed.find(std::string_view(name));
  if (it == r.armed.end() || ++it->second.passes != it->second.at) return false;
  if (!first_firing(name)) return false;
  if (it->second.kill) ::kill(::getpid(), SIGKILL);
  return true;
}

std::vector<std::string> names() {
  std::lock_guard lock(registry().mutex);
  auto out = registry().names;
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace nodevirt::failpoint
