#include "pod.hpp"

#include <catch2/catch.hpp>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/names.hpp"

namespace nodevirt::test {

namespace fs = std::filesystem;

namespace {

// QEMU is asked once for what it can; every later pod starts with the answer, as on a node.
fs::path capability_cache() {
  static TempDir dir("nvcap");
  return dir.path();
}

void copy_xml(const fs::path& from, const fs::path& to) {
  std::error_code ec;
  fs::create_directories(to, ec);
  for (auto& e : fs::directory_iterator(from, ec))
    if (e.path().extension() == ".xml") fs::copy_file(e.path(), to / e.path().filename(), fs::copy_options::overwrite_existing, ec);
}

}  // namespace

Pod::Pod(Options options) : root_("nvl"), truthful_(!options.capabilities) {
  for (auto dir : {api::kSocketsDir, api::kPrivateDir, api::kEphemeralDir, api::kContainerDisksDir, api::kLibvirtDir, api::kDisksDir, api::kSecretsDir, api::kMigrationDir})
    fs::create_directories(path(dir));
  if (options.capabilities && fs::is_empty(capability_cache())) {
    Pod first;
    REQUIRE(first.sync().ok());
  }
  copy_xml(capability_cache(), path(api::kCapabilityCacheDir));
  if (options.capabilities)
    for (auto& e : fs::directory_iterator(path(api::kCapabilityCacheDir))) {
      auto xml = read_file(e.path(), 4u << 20);
      REQUIRE(xml.ok());
      options.capabilities(*xml);
      REQUIRE(write_file_atomic(e.path(), *xml).ok());
    }
  std::vector<std::string> argv;
  if (::geteuid() == 0) {
    passwd* nobody = ::getpwnam("nobody");
    REQUIRE(nobody);
    for (auto it = fs::recursive_directory_iterator(root_.path()); it != fs::recursive_directory_iterator(); ++it)
      REQUIRE(::chown(it->path().c_str(), nobody->pw_uid, nobody->pw_gid) == 0);
    REQUIRE(::chown(root_.path().c_str(), nobody->pw_uid, nobody->pw_gid) == 0);
    argv = {"setpriv", "--reuid", "nobody", "--regid", std::to_string(nobody->pw_gid), "--clear-groups", "--no-new-privs"};
  }
  argv.insert(argv.end(), {NV_MONITOR, "--name", "vm", "--namespace", "ns", "--uid", kUid, "--root", root_.path().string(),
                           "--launcher", NV_LAUNCHER});
  argv.insert(argv.end(), options.monitor_args.begin(), options.monitor_args.end());
  monitor_ = ::fork();
  REQUIRE(monitor_ >= 0);
  if (monitor_ == 0) {
    int log = ::open((root_.path().string() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(log, 1);
    ::dup2(log, 2);
    std::vector<std::string> lines;
    std::istringstream in(options.environment);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    for (auto& line : lines) ::putenv(line.data());
    if (options.address_space) {
      rlimit limit{options.address_space, options.address_space};
      ::setrlimit(RLIMIT_AS, &limit);
    }
    std::vector<char*> args;
    for (auto& a : argv) args.push_back(a.data());
    args.push_back(nullptr);
    ::execvp(args[0], args.data());
    ::_exit(127);
  }
  thread_ = std::thread([this] { io_.run(); });
}

Pod::~Pod() {
  client_.reset();
  if (truthful_) copy_xml(path(api::kLibvirtDir).string() + "/cache/libvirt/qemu/cache/capabilities", capability_cache());
  if (monitor_ > 0) {
    // The monitor's children do not survive it in a pod; outside of one they are ended by hand.
    ::kill(monitor_, SIGSTOP);
    for (const char* name : {"qemu-system", "virt-launcher", "libvirtd"})
      while (pid_t p = child(name)) {
        ::kill(p, SIGKILL);
        if (!eventually([&] { return child(name) != p; })) break;
      }
    ::kill(monitor_, SIGKILL);
    ::waitpid(monitor_, nullptr, 0);
  }
  if (const char* keep = std::getenv("NV_KEEP_LOG")) {
    std::ifstream in(root_.path() / "log");
    std::ofstream(keep, std::ios::app) << in.rdbuf() << "\n";
  }
  work_.reset();
  io_.stop();
  thread_.join();
}

rpc::LauncherClient& Pod::client() {
  if (client_) return *client_;
  Result<std::unique_ptr<rpc::LauncherClient>> c;
  bool there = eventually([&] {
    c = wait(rpc::connect_launcher(path(api::kSocketsDir) / api::kLauncherSocket));
    return c.ok();
  });
  INFO((c.ok() ? "" : c.error().message));
  REQUIRE(there);
  client_ = std::move(*c);
  return *client_;
}

rpc::v1::SyncRequest Pod::sync_request(const Json& changes) const {
  Json vmi = Json::parse(R"({"metadata":{"name":"vm","namespace":"ns"},"spec":{"domain":{
    "resources":{"requests":{"memory":"32Mi"}},"devices":{"disks":[]}},"volumes":[]}})");
  vmi["metadata"]["uid"] = kUid;
  vmi.merge_patch(changes);
  rpc::v1::SyncRequest r;
  r.set_vmi_json(dump_json(vmi));
  return r;
}

rpc::v1::DomainRequest Pod::domain_request() const {
  rpc::v1::DomainRequest r;
  r.set_ns("ns");
  r.set_name("vm");
  r.set_uid(kUid);
  return r;
}

Result<rpc::v1::DomainState> Pod::sync(const Json& changes) { return wait(client().sync(sync_request(changes))); }

rpc::v1::DomainState Pod::state() {
  auto s = wait(client().get_domain(domain_request()));
  return s.ok() ? *s : rpc::v1::DomainState();
}

rpc::v1::DomainEvent Pod::await_event(rpc::DomainWatch& watch, std::string_view want) {
  auto until = std::chrono::steady_clock::now() + 30s;
  while (std::chrono::steady_clock::now() < until) {
    auto next = watch.next();
    auto e = wait(std::move(next));
    INFO((e.ok() ? "" : e.error().message));
    REQUIRE(e.ok());
    if (e->lifecycle() == want || e->detail() == want) return *e;
  }
  FAIL("no event " << want);
  return {};
}

pid_t Pod::child(std::string_view name) const {
  std::error_code ec;
  for (auto& entry : fs::directory_iterator("/proc", ec)) {
    pid_t pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (pid <= 0) continue;
    std::ifstream in(entry.path() / "stat");
    std::string line;
    std::getline(in, line);
    auto open = line.find('('), close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos) continue;
    char state = 0;
    int parent = 0;
    std::sscanf(line.c_str() + close, ") %c %d", &state, &parent);
    if (parent == monitor_ && state != 'Z' && line.compare(open + 1, name.size(), name) == 0) return pid;
  }
  return 0;
}

bool Pod::has_left(pid_t pid) {
  constexpr unsigned kExiting = 0x4;  // PF_EXITING
  std::error_code gone;
  for (fs::directory_iterator at("/proc/" + std::to_string(pid) + "/task", gone), end; !gone && at != end; at.increment(gone)) {
    std::string stat = read_file(at->path() / "stat").value_or("");
    unsigned flags = 0;
    bool read = std::sscanf(stat.c_str() + std::min(stat.rfind(')'), stat.size()), ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1;
    if (read && !(flags & kExiting)) return false;
  }
  return true;
}

bool Pod::eventually(const std::function<bool()>& condition) {
  auto until = std::chrono::steady_clock::now() + 30s;
  while (std::chrono::steady_clock::now() < until) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return condition();
}

int Pod::exit_code() {
  int status = 0;
  pid_t p = 0;
  auto until = std::chrono::steady_clock::now() + 60s;
  while ((p = ::waitpid(monitor_, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(5ms);
  if (p != monitor_) return -1;
  monitor_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Pod::signal_monitor(int signal) const { ::kill(monitor_, signal); }

}  // namespace nodevirt::test
