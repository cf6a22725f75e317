#include "virt-launcher/app.hpp"

#include <cerrno>
#include <csignal>
#include <malloc.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "virt-launcher/service/server.hpp"

namespace nodevirt::virt_launcher {

namespace {

constexpr int kUsage = 2;

int serve(const Options& options) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // before any thread
  Fd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  std::signal(SIGPIPE, SIG_IGN);

  Paths paths(options);
  WorkQueue queue;
  EventHub hub;
  MonitorLink monitor(options.monitor_fd);
  Guest guest({options, paths, hub, monitor, queue});
  auto server = Server::start(guest, hub, paths);
  if (!server.ok()) {
    log::error("{}", server.error().message);
    return 1;
  }
  log::info("serves the instance {}/{} ({})", options.namespace_, options.name, options.uid);

  for (;;) {
    pollfd fds[] = {{queue.fd(), POLLIN, 0}, {signals.get(), POLLIN, 0}, {monitor.fd(), POLLIN, 0}};
    if (::poll(fds, monitor.fd() >= 0 ? 3 : 2, queue.wait_ms()) < 0 && errno != EINTR) return 1;
    if (fds[1].revents) break;
    if (monitor.fd() >= 0 && fds[2].revents) {
      bool closed = false;
      std::string message = monitor.receive(closed);
      if (closed) break;  // the pod is ending
      if (message == "gone") guest.qemu_is_gone();
      if (message == "shutdown")
        if (auto down = guest.shut_down(); !down.ok()) log::warning("shut down: {}", down.error().message);
    }
    queue.run_ready();
  }
  // Nothing is torn down in order: the guest and libvirtd do not belong to this process, and the next launcher
  // takes them over as it would after a crash.
  ::_exit(0);
}

}  // namespace

int run(std::vector<std::string> args) {
  // A launcher runs beside every guest: small arenas, and memory given back soon.
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
  log::init("virt-launcher");
  NV_FAILPOINT_FOLDER(std::string(api::kMigrationDir) + "/failpoints");
  if (!args.empty() && args[0] == "failpoints") {
    for (auto& name : failpoint::names()) std::puts(name.c_str());
    return 0;
  }
  auto options = parse_options(args);
  if (!options.ok()) {
    std::fprintf(stderr,
                 "virt-launcher: %s\nusage: virt-launcher --name NAME --namespace NAMESPACE --uid UID [--root DIR] [--monitor-fd FD]\n",
                 options.error().message.c_str());
    return kUsage;
  }
  return serve(*options);
}

}  // namespace nodevirt::virt_launcher
