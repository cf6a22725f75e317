#include "migrating_pair.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "api/names.hpp"
#include "pkg/base/process.hpp"

namespace nodevirt::test {

namespace fs = std::filesystem;
using Event = rpc::v1::MigrationEvent;

namespace {

constexpr unsigned char kTickGuest[] = {
#include "tick_guest.inc"
};

}  // namespace

std::string tick_disk(std::uint32_t span, std::size_t bytes) {
  std::string disk(bytes, 0);
  std::mt19937 noise;  // so that it takes its room where it is copied to
  for (std::size_t i = 1u << 20; i + 4 <= bytes; i += 4) {
    std::uint32_t word = noise();
    std::memcpy(&disk[i], &word, 4);
  }
  std::memcpy(disk.data(), kTickGuest, sizeof kTickGuest);
  std::memcpy(disk.data() + 506, &span, 4);
  disk[510] = 0x55;
  disk[511] = static_cast<char>(0xaa);
  return disk;
}

MigratingPair::~MigratingPair() {
  const char* folder = std::getenv("NV_RECORD_SAMPLES");
  if (!folder || options_.name.empty()) return;
  // One line a sample: short differences.
  std::string text = "[\n";
  for (auto& e : source_events) {
    const auto& s = e.sample();
    Json j{{"kind", Event::Kind_Name(e.kind())}, {"takenAtUnixMs", s.taken_at_unix_ms()}, {"elapsedMs", s.elapsed_ms()}, {"setupMs", s.setup_ms()},
           {"iteration", s.iteration()}, {"memoryTotalBytes", s.memory_total_bytes()}, {"memoryProcessedBytes", s.memory_processed_bytes()},
           {"memoryRemainingBytes", s.memory_remaining_bytes()}, {"bandwidthBytesPerSecond", s.bandwidth_bytes_per_second()},
           {"dirtyRateBytesPerSecond", s.dirty_rate_bytes_per_second()}, {"expectedDowntimeMs", s.expected_downtime_ms()},
           {"throttlePercent", s.throttle_percent()}, {"constantPages", s.constant_pages()}, {"normalPages", s.normal_pages()},
           {"pageSize", s.page_size()}, {"postCopyRequests", s.post_copy_requests()}, {"diskTotalBytes", s.disk_total_bytes()},
           {"diskProcessedBytes", s.disk_processed_bytes()}, {"diskRemainingBytes", s.disk_remaining_bytes()}, {"completed", s.completed()},
           {"downtimeMs", s.downtime_ms()}, {"error", e.error()}};
    text += (&e == &source_events.front() ? "" : ",\n") + dump_json(j);
  }
  [[maybe_unused]] auto written = write_file_atomic(fs::path(folder) / (options_.name + ".json"), text + "\n]\n");
}

MigratingPair::MigratingPair(Options options) : source({}, options.source_environment), options_(std::move(options)) {
  fs::path image = source.path(api::kContainerDisksDir) / "root/disk/disk.img";
  fs::create_directories(image.parent_path());
  REQUIRE(write_file_atomic(image, tick_disk(options_.span, options_.disk_bytes)).ok());
  new_target(options_.target);
}

void MigratingPair::new_target(Pod::Options of_pod) {
  target_watch.reset();
  target.reset();
  target = std::make_unique<Pod>(std::move(of_pod));
  fs::path from = source.path(api::kContainerDisksDir) / "root/disk/disk.img", to = target->path(api::kContainerDisksDir) / "root/disk/disk.img";
  fs::create_directories(to.parent_path());
  if (options_.same_image) fs::create_hard_link(from, to);
  else fs::copy_file(from, to);
}

void MigratingPair::next_migration(std::string next_uid) {
  uid = std::move(next_uid);
  new_target({});
  prepare();
  watch_source();
}

Json MigratingPair::spec() const {
  Json vmi = Json::parse(R"({"spec":{"domain":{"resources":{"requests":{}},"devices":{"autoattachGraphicsDevice":false,
      "disks":[{"name":"root","disk":{"bus":"virtio"}}]}},
    "volumes":[{"name":"root","containerDisk":{"image":"i"}}]}})");
  vmi["spec"]["domain"]["resources"]["requests"]["memory"] = options_.memory;
  vmi.merge_patch(options_.changes);
  if (options_.empty_disk) {
    vmi["spec"]["domain"]["devices"]["disks"].push_back(Json{{"name", "scratch"}, {"disk", {{"bus", "virtio"}}}});
    vmi["spec"]["volumes"].push_back(Json{{"name", "scratch"}, {"emptyDisk", {{"capacity", "16Mi"}}}});
  }
  return vmi;
}

void MigratingPair::start() {
  auto started = source.sync(spec());
  INFO((started.ok() ? "" : started.error().message));
  REQUIRE(started.ok());
  REQUIRE(Pod::eventually([&] { return log(source).size() > 100; }));
  prepare();
  watch_source();
}

void MigratingPair::prepare() {
  rpc::v1::PrepareTargetRequest q;
  q.set_migration_uid(uid);
  q.set_vmi_json(target->sync_request(spec()).vmi_json());
  q.set_allow_post_copy(true);
  auto answer = target->wait(client(*target).prepare_target(q));
  for (int tries = 0; !answer.ok() && answer.error().code == Code::Unavailable && tries < 50; ++tries) {
    target->forget_client();
    answer = target->wait(client(*target).prepare_target(q));
  }
  INFO((answer.ok() ? "" : answer.error().message));
  REQUIRE(answer.ok());
  prepared = *answer;
  std::error_code ec;
  fs::path link = source.path(api::kMigrationDir) / "source-libvirt.sock";
  if (fs::is_symlink(link, ec)) fs::remove(link);
  if (!fs::exists(fs::symlink_status(link, ec)))
    fs::create_symlink(target->path(api::kMigrationDir) / "target-libvirt.sock", link);
  watch_target();
}

void MigratingPair::watch_source() {
  rpc::v1::WatchMigrationRequest q;
  q.set_migration_uid(uid);
  source_watch = client(source).watch_migration(q);
}

void MigratingPair::watch_target() {
  rpc::v1::WatchMigrationRequest q;
  q.set_migration_uid(uid);
  target_watch = client(*target).watch_migration(q);
}

rpc::v1::MigrationRequest MigratingPair::request() const {
  rpc::v1::MigrationRequest q;
  *q.mutable_domain() = source.domain_request();
  q.set_migration_uid(uid);
  return q;
}

rpc::v1::MigrateRequest MigratingPair::migrate_request() const {
  rpc::v1::MigrateRequest q;
  *q.mutable_domain() = source.domain_request();
  q.set_migration_uid(uid);
  *q.mutable_target() = prepared;
  *q.mutable_copied_disks() = prepared.copied_disks();
  q.set_sample_interval_ms(100);
  return q;
}

Result<void> MigratingPair::migrate(const rpc::v1::MigrateRequest& q) { return source.wait(client(source).migrate(q)); }

Event MigratingPair::await(rpc::MigrationWatch& watch, Kind kind, int seconds) {
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  auto& seen = &watch == source_watch.get() ? source_events : target_events;
  while (std::chrono::steady_clock::now() < until) {
    auto next = watch.next();
    auto e = source.wait(std::move(next));
    INFO((e.ok() ? "" : e.error().message));
    REQUIRE(e.ok());
    seen.push_back(*e);
    if (e->kind() == kind) return *e;
    if (e->kind() == Event::ENDED) FAIL("the migration ended (" << e->error() << ") before " << Event::Kind_Name(kind));
  }
  FAIL("no event " << Event::Kind_Name(kind));
  return {};
}

Event MigratingPair::next_of_source() {
  auto next = source_watch->next();
  auto e = source.wait(std::move(next));
  INFO((e.ok() ? "" : e.error().message));
  REQUIRE(e.ok());
  source_events.push_back(*e);
  return *e;
}

Event MigratingPair::await_end() {
  for (;;)
    if (Event e = next_of_source(); e.kind() == Event::ENDED) return e;
}

void MigratingPair::hand_over() {
  await_target(Event::LOADED);
  auto released = release_for_sure();
  INFO(released.why_kept());
  REQUIRE(released.released());
  auto resumed = resume();
  INFO((resumed.ok() ? "" : resumed.error().message));
  REQUIRE(resumed.ok());
  CHECK(resumed->state() == "Running");
}

Result<rpc::v1::ReleaseResponse> MigratingPair::release() { return source.wait(client(source).release_source(request())); }

rpc::v1::ReleaseResponse MigratingPair::release_for_sure() {
  Result<rpc::v1::ReleaseResponse> answer;
  bool told = Pod::eventually([&] {
    answer = release();
    if (!answer.ok() && answer.error().reason != "NotYet") source.forget_client();
    return answer.ok();
  });
  INFO((answer.ok() ? "" : answer.error().message));
  REQUIRE(told);
  return *answer;
}

Result<rpc::v1::DomainState> MigratingPair::resume(bool keep_paused) {
  auto q = request();
  q.set_keep_paused(keep_paused);
  return target->wait(client(*target).resume_target(q));
}
Result<void> MigratingPair::abandon() { return target->wait(client(*target).abandon_target(request())); }
Result<void> MigratingPair::cancel() { return source.wait(client(source).cancel(request())); }

Event MigratingPair::standing(Pod& pod) {
  auto c = pod.wait(rpc::connect_launcher(pod.path(api::kSocketsDir) / api::kLauncherSocket));
  if (!c.ok()) return {};
  rpc::v1::WatchMigrationRequest q;
  q.set_migration_uid(uid);
  auto watch = (*c)->migration()->watch_migration(q);
  auto next = watch->next();
  auto e = pod.wait(std::move(next));
  return e.ok() ? *e : Event{};
}

bool MigratingPair::both_run() {
  auto runs = [](Pod& pod) {
    pid_t qemu = pod.child("qemu-system");
    return qemu > 0 && pod.state().state() == "Running";
  };
  return runs(source) && runs(*target);
}

bool MigratingPair::settle() {
  auto until = std::chrono::steady_clock::now() + 120s;
  auto sure = [&](Pod& pod, auto call) {
    for (;;) {
      auto r = call();
      if (r.ok() || (r.error().code != Code::Unavailable && r.error().code != Code::DeadlineExceeded)) return r;
      REQUIRE(std::chrono::steady_clock::now() < until);
      if (r.error().reason != "NotYet") pod.forget_client();
      std::this_thread::sleep_for(20ms);
    }
  };
  while (std::chrono::steady_clock::now() < until) {
    auto there = standing(*target), here = standing(source);
    INFO("source " << Event::Kind_Name(here.kind()) << " " << here.error() << ", target " << Event::Kind_Name(there.kind()) << " " << there.error());
    if (there.kind() == Event::RESUMED || there.kind() == Event::POST_COPY) {
      CHECK(sure(*target, [&] { return resume(); }).ok());
      CHECK_FALSE(both_run());
      return true;
    }
    if (there.kind() == Event::LOADED || here.kind() == Event::RELEASED) {
      auto answer = sure(source, [&] { return release(); });
      INFO((answer.ok() ? "" : answer.error().message));
      REQUIRE(answer.ok());
      if (answer->released()) {
        auto resumed = sure(*target, [&] { return resume(); });
        INFO((resumed.ok() ? "" : resumed.error().message));
        REQUIRE(resumed.ok());
        return true;
      }
    } else if (here.kind() != Event::ENDED) {
      std::this_thread::sleep_for(50ms);
      continue;
    }
    // Kept, or failed: the target first, so that it can never be told otherwise.
    auto gone = sure(*target, [&] { return abandon(); });
    INFO((gone.ok() ? "" : gone.error().message));
    REQUIRE(gone.ok());
    CHECK(sure(source, [&] { return cancel(); }).ok());
    CHECK_FALSE(both_run());
    return false;
  }
  FAIL("the migration does not settle");
  return false;
}

std::string MigratingPair::log(Pod& pod) const {
  return read_file(pod.path(api::kPrivateDir) / Pod::kUid / "virt-serial0-log").value_or("");
}

std::vector<std::uint32_t> MigratingPair::counts() {
  std::string all = log(source) + log(*target);
  auto first = all.find("00000001.");
  REQUIRE(first != std::string::npos);
  std::vector<std::uint32_t> out;
  std::istringstream in(all.substr(first));
  for (std::string line; std::getline(in, line) && !in.eof();) {
    INFO("line " << out.size() << ": " << line);
    REQUIRE(line.size() == 9);
    CHECK(line[8] == '.');
    out.push_back(static_cast<std::uint32_t>(std::stoul(line.substr(0, 8), nullptr, 16)));
    REQUIRE(out.back() == out.size());
  }
  return out;
}

std::uint32_t MigratingPair::last_count() {
  auto all = counts();
  return all.empty() ? 0 : all.back();
}

void MigratingPair::await_progress(Pod& pod) {
  auto before = log(pod).size();
  REQUIRE(Pod::eventually([&] { return log(pod).size() > before + 30; }));
}

std::uint32_t MigratingPair::count_on_disk(Pod& pod) {
  TempDir dir("nvdisk");
  auto raw = dir.path() / "raw";
  auto done = run_command({.argv = {"qemu-img", "convert", "-U", "-O", "raw", pod.path(api::kEphemeralDir) / "disks/root.qcow2", raw}});
  REQUIRE((done.ok() && done->exit_code == 0));
  auto bytes = read_file(raw);
  REQUIRE((bytes.ok() && bytes->size() >= 101 * 512));
  std::uint32_t count = 0;
  std::memcpy(&count, bytes->data() + 100 * 512, 4);
  return count;
}

void MigratingPair::check_moved() {
  await_progress(*target);
  pid_t left = source.child("qemu-system");
  CHECK((left == 0 || Pod::has_left(left)));
  CHECK(Pod::eventually([&] { return source.child("qemu-system") == 0; }));
  CHECK(target->state().state() == "Running");
  CHECK(last_count() > 0);
}

void MigratingPair::check_stayed() {
  await_progress(source);
  CHECK(source.state().state() == "Running");
  CHECK(last_count() > 0);
}

void MigratingPair::check_target_is_clean() {
  CHECK_FALSE(target->state().present());
  CHECK(target->child("qemu-system") == 0);
  CHECK(fs::is_empty(target->path(api::kEphemeralDir)));
  for (const char* socket : {"memory.sock", "disk.sock"}) CHECK_FALSE(fs::exists(target->path(api::kMigrationDir) / socket));
}

}  // namespace nodevirt::test
