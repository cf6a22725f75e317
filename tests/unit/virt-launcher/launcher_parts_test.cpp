// The launcher's small parts: command line, event hub, work queue, what is read from XML and logs.
#include <catch2/catch.hpp>

#include <fstream>

#include "pkg/base/file.hpp"
#include "virt-launcher/event_hub.hpp"
#include "virt-launcher/guest_state.hpp"
#include "virt-launcher/options.hpp"
#include "virt-launcher/work_queue.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_launcher;
using namespace std::chrono_literals;

namespace {
v1::DomainEvent event(const char* lifecycle) {
  v1::DomainEvent e;
  e.set_lifecycle(lifecycle);
  return e;
}
}  // namespace

TEST_CASE("the command line") {
  auto o = parse_options({"--name", "vm", "--namespace=ns", "--uid", "u-1", "--monitor-fd", "3"});
  REQUIRE(o.ok());
  CHECK(o->monitor_fd == 3);
  CHECK(Paths(*o).instance == "/var/run/kubevirt-private/u-1");
  for (std::vector<std::string> bad : {std::vector<std::string>{}, {"--name"}, {"--name", "a/b", "--namespace", "n", "--uid", "u"},
                                       {"--name", "..", "--namespace", "n", "--uid", "u"}, {"--what", "x"}})
    CHECK_FALSE(parse_options(bad).ok());
}

TEST_CASE("a watcher gets the state first, then every event in order") {
  EventHub hub;
  hub.publish(event("before"));
  auto w = hub.watch(event("first"));
  hub.publish(event("a"));
  hub.publish(event("b"));
  CHECK_FALSE(hub.drained());
  CHECK(w->next(1s)->lifecycle() == "first");
  auto a = w->next(1s), b = w->next(1s);
  CHECK(a->lifecycle() == "a");
  CHECK(b->sequence() == a->sequence() + 1);
  CHECK_FALSE(hub.drained());
  w->delivered();
  CHECK(hub.drained());
  w.reset();
  CHECK_FALSE(hub.drained());
}

TEST_CASE("a watcher that does not keep up loses the oldest events, not the newest") {
  EventHub hub;
  auto w = hub.watch(event("first"));
  for (int i = 0; i < 1000; ++i) hub.publish(event("x"));
  hub.publish(event("last"));
  int n = 0;
  std::string last;
  while (auto e = w->next(0ms)) ++n, last = e->lifecycle();
  CHECK(n <= 256);
  CHECK(last == "last");
}

TEST_CASE("work runs in the order of its time") {
  WorkQueue q;
  std::string ran;
  CHECK(q.wait_ms() == -1);
  q.post([&] { ran += "b"; }, 1h);
  q.post([&] { ran += "a"; });
  CHECK(q.wait_ms() == 0);
  q.run_ready();
  CHECK(ran == "a");
  CHECK(q.wait_ms() > 3000000);
}

TEST_CASE("libvirt's XML is read for what runs") {
  v1::DomainState s;
  read_domain_xml("<domain type='kvm' id='1'><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
                  "<channel><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel></domain>", s);
  CHECK(s.domain_type() == "kvm");
  CHECK(s.machine() == "pc-q35-7.2");
  CHECK(s.guest_agent());
  read_domain_xml("<domain type='qemu'><target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/><x state='connected'/></domain>", s);
  CHECK_FALSE(s.guest_agent());
}

TEST_CASE("QEMU's last words, without libvirt's own lines") {
  TempDir dir;
  std::ofstream(dir.path() / "log") << "2026: starting up libvirt version: 9.0.0\nLC_ALL=C \\\n-name x \\\nchar device redirected to /dev/pts/1\n"
                                       "qemu: cannot set up guest memory\n2026: shutting down, reason=failed\n";
  CHECK(last_log_lines(dir.path() / "log") == "qemu: cannot set up guest memory");
  CHECK(last_log_lines(dir.path() / "none").empty());
}

TEST_CASE("a console log stays bounded, and keeps its end") {
  TempDir dir;
  auto log = dir.path() / "log";
  std::ofstream(log) << std::string(5000, 'a') << "\n" << "the last line\n";
  bound_log(log, 10000, 100);
  CHECK(std::filesystem::file_size(log) > 5000);
  bound_log(log, 1000, 100);
  CHECK(*read_file(log) == "the last line\n");
}
