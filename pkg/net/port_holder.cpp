#include "pkg/net/port_holder.hpp"

#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

namespace nodevirt::net {

namespace {

std::set<std::string> listening_inodes(std::uint16_t port) {
  std::set<std::string> out;
  auto wanted = fmt::format(":{:04X}", port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(table);
    std::string line;
    while (std::getline(in, line)) {
      std::istringstream fields(line);
      std::string number, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
      fields >> number >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
      if (state == "0A" && local.ends_with(wanted)) out.insert("socket:[" + inode + "]");
    }
  }
  return out;
}

}  // namespace

std::string port_holder(std::uint16_t port) {
  namespace fs = std::filesystem;
  auto inodes = listening_inodes(port);
  if (inodes.empty()) return {};
  std::error_code ec;
  for (fs::directory_iterator process("/proc", ec), end; !ec && process != end; process.increment(ec)) {
    auto pid = process->path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code inner;
    for (fs::directory_iterator fd(process->path() / "fd", inner), last; !inner && fd != last; fd.increment(inner)) {
      std::error_code gone;
      if (!inodes.contains(fs::read_symlink(fd->path(), gone).string())) continue;
      std::ifstream comm(process->path() / "comm");
      std::string name;
      std::getline(comm, name);
      return fmt::format("{} (pid {})", name, pid);
    }
  }
  return {};
}

}  // namespace nodevirt::net
