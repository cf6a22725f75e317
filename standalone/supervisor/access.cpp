// Whether the control plane's user gets at what it needs, asked as that user, and whether there is room.
#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include "standalone/supervisor/preflight.hpp"

namespace nodevirt::supervisor {
namespace fs = std::filesystem;
namespace {

/// Folders on the way whose permissions are in the way are worth more to a reader than the file at the end.
std::string obstacle(const fs::path& path) {
  fs::path sofar;
  for (const auto& part : path) {
    sofar /= part;
    std::error_code error;
    if (sofar != path && access(sofar.c_str(), X_OK) != 0)
      return errno == EACCES ? fmt::format("{}: {} is closed to others (chmod o+x {} opens it)", path.string(), sofar.string(), sofar.string())
                             : fmt::format("{}: {}: {}", path.string(), sofar.string(), strerror(errno));
  }
  if (access(path.c_str(), R_OK) == 0) return "";
  return fmt::format("{}: {}", path.string(), strerror(errno));
}

std::string first_obstacle(const std::vector<fs::path>& paths, bool with_contents) {
  for (const fs::path& path : paths) {
    if (std::string why = obstacle(path); !why.empty()) return why;
    std::error_code error;
    if (!with_contents || !fs::is_directory(path, error)) continue;
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
      if (std::string why = obstacle(it->path()); !why.empty()) return why;
  }
  return "";
}

}  // namespace

Result<std::string> unreadable_by(const pki::Owner& user, const std::vector<fs::path>& paths, bool with_contents) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  Fd in(ends[0]), out(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return errno_error(errno, "fork");
  if (pid == 0) {
    std::string why;
    if (setgroups(1, &user.gid) != 0 || setresgid(user.gid, user.gid, user.gid) != 0 || setresuid(user.uid, user.uid, user.uid) != 0) _exit(3);
    why = first_obstacle(paths, with_contents).substr(0, 4096);
    (void)!write(out.get(), why.data(), why.size());
    _exit(0);
  }
  out.reset();
  std::string why;
  char buffer[4096];
  for (ssize_t n; (n = read(in.get(), buffer, sizeof buffer)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    why.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return Error{Code::Internal, "cannot take another user's identity"};
  return why;
}

Result<void> check_control_plane_access(const Installation& installation, const DataDir& data, const Users& users) {
  std::vector<fs::path> paths;
  for (const char* folder : {"crds", "rbac", "one-machine"}) paths.push_back(installation.share / "manifests" / folder);
  NV_TRY(const std::string manifests, unreadable_by(users.control, paths, true));
  if (!manifests.empty())
    return Error{Code::FailedPrecondition, fmt::format("the user nodevirt, as whom the API server runs, cannot read the manifests: {}", manifests)};
  NV_TRY(const std::string state, unreadable_by(users.control, {data.root}, false));
  if (!state.empty())
    return Error{Code::FailedPrecondition, fmt::format("the user nodevirt, as whom the API server runs, cannot reach the data directory: {}", state)};
  return {};
}

Result<void> check_room(const fs::path& folder) {
  constexpr std::uintmax_t kNeeded = 16 << 20;   // certificates, the database with the definitions of all kinds, its log's reserve of 8 MiB
  std::error_code error;
  const auto room = fs::space(folder, error);
  if (error || room.available >= kNeeded) return {};
  return Error{Code::ResourceExhausted, fmt::format("no space left on the disk that holds {}: {:.1f} MiB are free, at least {} are needed",
                                                    folder.string(), static_cast<double>(room.available) / (1 << 20), kNeeded >> 20)};
}

std::string room_note(const fs::path& folder) {
  std::error_code error;
  const auto room = fs::space(folder, error);
  return error || room.available >= (1 << 20) ? "" : "; no space left on the disk that holds " + folder.string();
}

}  // namespace nodevirt::supervisor
