#include "standalone/supervisor/preflight.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "pkg/base/process.hpp"
#include "standalone/pki/kubeconfig.hpp"

namespace nodevirt::supervisor {
namespace fs = std::filesystem;
using namespace std::chrono_literals;
namespace {

constexpr std::string_view kControlUser = "nodevirt", kLauncherUser = "nodevirt-launcher";
constexpr auto kLeaving = 2s;   // for the programs of a supervisor that was killed to be gone
constexpr auto kAgain = 10ms;

bool in_path(std::string_view command) {
  std::string path = std::getenv("PATH") ? std::getenv("PATH") : "";
  path += ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";
  std::size_t start = 0;
  while (start <= path.size()) {
    std::size_t end = std::min(path.find(':', start), path.size());
    if (end > start && access((fs::path(path.substr(start, end - start)) / command).c_str(), X_OK) == 0) return true;
    start = end + 1;
  }
  return false;
}

Result<pki::Owner> ensure_user(std::string_view name) {
  const std::string n(name);
  if (const passwd* p = getpwnam(n.c_str())) return pki::Owner{p->pw_uid, p->pw_gid};
  auto made = check_output(Command{.argv = {"useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                                            "--shell", "/usr/sbin/nologin", n}});
  if (!made.ok()) return made.error().with_context(fmt::format("the system user {} does not exist and cannot be made", name));
  if (const passwd* p = getpwnam(n.c_str())) return pki::Owner{p->pw_uid, p->pw_gid};
  return Error{Code::FailedPrecondition, fmt::format("the system user {} does not exist; make it with: useradd --system {}", name, name)};
}

}  // namespace

Result<void> require_root(std::string_view doing) {
  if (geteuid() == 0) return {};
  return Error{Code::PermissionDenied, fmt::format("{} needs root rights (network namespaces, mounts, devices): run it with sudo", doing)};
}

Result<void> require_commands() {
  struct Need { std::string_view command, package; };
  static constexpr Need kNeeds[] = {
      {"ip", "iproute2"}, {"nft", "nftables"}, {"bwrap", "bubblewrap"}, {"qemu-img", "qemu-utils"},
      {"qemu-system-x86_64", "qemu-system-x86"}, {"libvirtd", "libvirt-daemon"}, {"mount", "mount"}};
  std::string commands, packages;
  for (const Need& n : kNeeds) {
    if (in_path(n.command)) continue;
    commands += (commands.empty() ? "" : ", ") + std::string(n.command);
    packages += " " + std::string(n.package);
  }
  if (commands.empty()) return {};
  return Error{Code::FailedPrecondition, fmt::format("these commands are missing: {}; install them with: apt-get install{}", commands, packages)};
}

Result<Users> ensure_users() {
  Users u;
  NV_TRY(u.control, ensure_user(kControlUser));
  NV_TRY(u.launcher, ensure_user(kLauncherUser));
  return u;
}

std::vector<std::string> notes() {
  std::vector<std::string> out;
  Fd kvm(open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm) {
    int e = errno;
    out.push_back(e == ENOENT ? "there is no /dev/kvm: guests are emulated, which is slow (is virtualization switched on in the firmware?)"
                              : fmt::format("/dev/kvm does not open ({}): guests are emulated, which is slow", strerror(e)));
  }
  auto policy = run_command(Command{.argv = {"nft", "list", "chain", "ip", "filter", "FORWARD"}});
  if (policy.ok() && policy->exit_code == 0 && policy->out.find("policy drop") != std::string::npos)
    out.push_back("this machine's firewall drops forwarded traffic (table ip filter, chain FORWARD): guests will not reach beyond it "
                  "unless it accepts what comes from and goes to the bridge nvbr*");
  return out;
}

namespace {

// The process that listens on the port, 0: none that can be found.
pid_t listener_of(std::uint16_t port) {
  std::string inode;
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    auto text = read_file(file, 16 << 20);
    if (!text.ok()) continue;
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream in(line);
      std::string index, local, remote, state, queue, timer, retransmit, uid, timeout, number;
      in >> index >> local >> remote >> state >> queue >> timer >> retransmit >> uid >> timeout >> number;
      auto colon = local.rfind(':');
      if (state == "0A" && colon != std::string::npos && std::strtoul(local.c_str() + colon + 1, nullptr, 16) == port) inode = number;
    }
  }
  if (inode.empty()) return 0;
  const std::string want = "socket:[" + inode + "]";
  std::error_code error;
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    const std::string pid = process.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code ignored;
    for (fs::directory_iterator fd(process.path() / "fd", ignored), end; !ignored && fd != end; fd.increment(ignored)) {
      if (fs::read_symlink(fd->path(), ignored) == want) return static_cast<pid_t>(std::strtol(pid.c_str(), nullptr, 10));
    }
  }
  return 0;
}

// A supervisor that was killed is gone, and with it the lock, before its programs are.
bool may_be_leaving(pid_t listener) {
  std::error_code error;
  if (listener == 0) return true;
  auto program = fs::read_symlink(fmt::format("/proc/{}/exe", listener), error);
  return error || program == fs::read_symlink("/proc/self/exe", error);  // one that ends has none any more
}

// No descriptor: bind() or listen() failed with `error`.
Result<Fd> try_to_listen(in_addr_t address, std::uint16_t port, int& error) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int on = 1;
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = address;
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return errno_error(errno, "make a socket");
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 || listen(fd.get(), 1024) != 0) {
    error = errno;
    return Fd();
  }
  return fd;
}

}  // namespace

std::string who_listens(std::uint16_t port) {
  pid_t pid = listener_of(port);
  if (pid == 0) return "";
  std::string name = read_file(fmt::format("/proc/{}/comm", pid), 64).value_or("?");
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return fmt::format("{} (pid {})", name, pid);
}

Result<Fd> listen_tcp(const std::string& host, std::uint16_t port, std::string_view flag) {
  NV_TRY(std::uint32_t address, nodes::parse_address(host));
  int e = 0;
  for (auto until = std::chrono::steady_clock::now() + kLeaving;;) {
    NV_TRY(Fd fd, try_to_listen(htonl(address), port, e));
    if (fd) return fd;
    if (e != EADDRINUSE || std::chrono::steady_clock::now() >= until || !may_be_leaving(listener_of(port))) break;
    std::this_thread::sleep_for(kAgain);
  }
  std::string hint = flag.empty() ? "" : fmt::format("; choose another with {}", flag);
  if (e == EADDRINUSE) {
    std::string who = who_listens(port);
    return Error{Code::AlreadyExists, fmt::format("port {} of {} is in use by {}{}", port, host, who.empty() ? "another process" : who, hint)};
  }
  if (e == EADDRNOTAVAIL) return Error{Code::InvalidArgument, fmt::format("{} is no address of this machine{}", host, hint)};
  return errno_error(e, fmt::format("listen on {}:{}", host, port));
}

std::uint16_t port_of(const Fd& socket) {
  sockaddr_in a{};
  socklen_t n = sizeof a;
  return getsockname(socket.get(), reinterpret_cast<sockaddr*>(&a), &n) == 0 ? ntohs(a.sin_port) : 0;
}

Result<void> check_kubeconfig(const std::string& path, const std::string& text, const std::string& ca_pem) {
  if (text.empty() || (!ca_pem.empty() && text.find(pki::base64(ca_pem)) != std::string::npos)) return {};
  return Error{Code::FailedPrecondition, fmt::format("{} is the kubeconfig of another cluster, and is not overwritten; move it away", path)};
}

}  // namespace nodevirt::supervisor
