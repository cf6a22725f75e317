// The handover explored: every order of events, losses of the link, deaths of either virt-handler, requests that
// are carried out late or whose answers are lost. In no state does the guest run twice, or nowhere; and from every
// state, if nothing more goes wrong, it comes to run on exactly one side, and the instance says so.
#include <catch2/catch.hpp>

#include <cstring>
#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "virt-handler/migration/handover/source_handover.hpp"
#include "virt-handler/migration/handover/target_handover.hpp"

using namespace nodevirt::virt_handler::migration;

namespace {

enum class Source : unsigned char { Running, Paused, Dead };
enum class Job : unsigned char { Active, Ended, Failed };
enum class Target : unsigned char { None, Loading, Loaded, Running, Gone };
enum class Word : unsigned char { Nothing, Loaded, Resumed, Released, Kept };
enum class Call : unsigned char { None, Sent, SaidReleased, SaidKept };   // ReleaseSource on its way

/// All there is. Copied byte by byte into the set of states that were seen.
struct World {
  // The source's pod.
  Source qemu = Source::Running;
  Job job = Job::Active;
  bool suspended = false, resumed = false, record = false;
  Note note = Note::None;
  Call call = Call::None;      // of the present life
  bool late_call = false;      // of a life that is over: may still be carried out
  SourceHandover source;
  // The target's pod.
  Target guest = Target::None;
  bool prepared_abandon = false;
  TargetHandover target;
  // Between them.
  bool link = false, source_sees = false, target_sees = false;
  std::array<Word, 3> to_source{}, to_target{};
  // The instance.
  Owner owner = Owner::None;
  bool failed = false, completed = false;
  // What may still go wrong.
  unsigned char source_deaths = 1, target_deaths = 1, cuts = 1, daemon_faults = 1;
};

std::string bytes_of(const World& w) {
  // Fields one by one: padding has no meaning.
  std::string out;
  auto put = [&out](const auto& v) { out.append(reinterpret_cast<const char*>(&v), sizeof v); };
  put(w.qemu); put(w.job); put(w.suspended); put(w.resumed); put(w.record); put(w.note); put(w.call); put(w.late_call);
  put(w.guest); put(w.link); put(w.source_sees); put(w.target_sees); put(w.to_source); put(w.to_target);
  put(w.owner); put(w.failed); put(w.completed); put(w.source_deaths); put(w.target_deaths); put(w.cuts); put(w.daemon_faults);
  static_assert(std::is_trivially_copyable_v<SourceHandover> && std::is_trivially_copyable_v<TargetHandover>);
  put(w.source); put(w.target);
  return out;
}

void send(std::array<Word, 3>& queue, Word word) {
  for (Word& slot : queue)
    if (slot == Word::Nothing) { slot = word; return; }
  FAIL("more on the link than is ever said");
}
Word take(std::array<Word, 3>& queue) {
  Word out = queue[0];
  queue = {queue[1], queue[2], Word::Nothing};
  return out;
}

struct Rules {
  bool link_returns = true;   // after a cut
};

struct Edge {
  World to;
  bool fault;
  const char* what;
};

/// Everything that can happen next.
class Steps {
 public:
  Steps(const World& from, const Rules& rules) : from_(from), rules_(rules) {}
  std::vector<Edge> all() {
    libvirt();
    release();
    source_learns();
    source_does();
    target_learns();
    target_does();
    link();
    deaths();
    return std::move(out_);
  }

 private:
  template <class F>
  void step(const char* what, F change, bool fault = false) {
    World next = from_;
    change(next);
    out_.push_back({next, fault, what});
  }

  void libvirt() {
    if (from_.job != Job::Active) return;
    auto fails_running = [](World& w) { w.job = Job::Failed; w.qemu = Source::Running; if (w.suspended) w.resumed = true; };
    auto target_dies = [](World& w) { if (w.guest == Target::Loading) w.guest = Target::Gone; };
    if (from_.qemu == Source::Dead) {  // ended by a release: the job ends this way or that
      step("the job ends after the release", [](World& w) { w.job = Job::Ended; });
      step("the job fails after the release", [](World& w) { w.job = Job::Failed; });
      return;
    }
    if (!from_.suspended) {
      if (from_.link) step("switch-over", [](World& w) { w.suspended = true; w.qemu = Source::Paused; w.guest = Target::Loading; });
      if (!from_.link) step("the stream is gone before the switch-over", fails_running);
      if (from_.daemon_faults) step("the job fails early", [&](World& w) { --w.daemon_faults; fails_running(w); }, true);
      return;
    }
    if (from_.guest == Target::Loading) {
      if (from_.link) step("loaded", [](World& w) { w.guest = Target::Loaded; });
      else step("the stream is gone while loading", [&](World& w) { target_dies(w); fails_running(w); });
      if (from_.daemon_faults)
        step("the job fails, the source stays paused", [&](World& w) { --w.daemon_faults; target_dies(w); w.job = Job::Failed; }, true);
    }
    if (from_.guest != Target::Loading) {
      if (from_.link && from_.guest != Target::Gone) step("libvirt ends the source itself", [](World& w) { w.job = Job::Ended; w.qemu = Source::Dead; });
      // The answer to Finish is lost: libvirt lets the source go on, though the target is loaded.
      if (!from_.link || from_.daemon_faults)
        step("libvirt resumes the source", [&](World& w) { if (w.link) --w.daemon_faults; fails_running(w); }, from_.link);
      if (from_.daemon_faults)
        step("the job fails after loading, the source stays paused", [&](World& w) { --w.daemon_faults; w.job = Job::Failed; }, true);
    }
  }

  /// What the launcher does with the question: atomically, by freezing first.
  static bool carry_out(World& w) {
    if (w.qemu == Source::Dead) return w.record = true;
    if (w.qemu != Source::Paused) return false;
    w.qemu = Source::Dead;
    return w.record = true;
  }

  void release() {
    if (from_.call == Call::Sent)
      step("the release is carried out", [](World& w) { w.call = carry_out(w) ? Call::SaidReleased : Call::SaidKept; });
    if (from_.call == Call::SaidReleased || from_.call == Call::SaidKept)
      step("the release is answered", [](World& w) { w.source.release_answered(w.call == Call::SaidReleased); w.call = Call::None; });
    if (from_.late_call) step("an old release is carried out", [](World& w) { carry_out(w); w.late_call = false; });
  }

  void source_learns() {
    if (from_.suspended) step("source: switch-over", [](World& w) { w.source.switchover(); });
    if (from_.resumed) step("source: resumed", [](World& w) { w.source.resumed(); });
    if (from_.record) step("source: released", [](World& w) { w.source.released(); });
    // The launcher tells of its record first, and is asked again when old calls have had their time.
    auto record = [](World& w) { if (w.record) w.source.released(); };
    if (from_.job == Job::Ended) step("source: ended", [&](World& w) { record(w); w.source.ended(true); });
    if (from_.job == Job::Failed) step("source: failed", [&](World& w) { record(w); w.source.ended(false); });
    step("source: domain", [](World& w) { w.source.stopped_by_migration(w.qemu == Source::Paused); });
    step("source: reads the instance", [](World& w) { w.source.stored(w.owner, w.failed, w.completed); });
    if (!from_.late_call) step("source: old calls are over", [&](World& w) { record(w); w.source.old_calls_ended(); });
    if (from_.to_source[0] != Word::Nothing && from_.source_sees)
      step("source: hears", [](World& w) {
        if (take(w.to_source) == Word::Loaded) w.source.target_loaded();
        else w.source.target_resumed();
      });
  }

  void source_does() {
    SourceHandover::Wants wants = from_.source.wants();
    if (wants.note) step("source: notes", [&](World& w) { w.note = *wants.note; w.source.note_written(*wants.note); });
    if (wants.release && from_.call == Call::None) step("source: asks for the release", [](World& w) { w.call = Call::Sent; w.source.release_begun(); });
    if (wants.say_released) step("source: says released", [](World& w) { if (w.link) send(w.to_target, Word::Released); w.source.released_said(); });
    if (from_.source.decision() == SourceHandover::Decision::Released) step("source: no answer comes", [](World& w) { w.source.answer_overdue(); });
    if (wants.say_kept) step("source: says kept", [](World& w) { if (w.link) send(w.to_target, Word::Kept); w.source.kept_said(); });
    if (wants.store_target) step("source: writes owner target", [](World& w) { w.owner = Owner::Target; });
    if (wants.store_failed) step("source: writes owner source", [](World& w) { w.owner = Owner::Source; w.failed = true; });
    if (wants.unpause && from_.qemu == Source::Paused) step("source: unpauses", [](World& w) { w.qemu = Source::Running; });
    if (wants.cancel_job) step("source: cancels", [](World& w) {
      w.source.cancel_begun();
      if (w.job != Job::Active || w.guest == Target::Loaded || w.qemu == Source::Dead) return;
      if (w.suspended) w.resumed = true;
      if (w.guest == Target::Loading) w.guest = Target::Gone;
      w.qemu = Source::Running;
      w.job = Job::Failed;
    });
  }

  void target_learns() {
    step("target: launcher", [](World& w) {
      w.target.launcher_known();
      if (w.guest == Target::Loaded) w.target.loaded();
      if (w.guest == Target::Running) w.target.running();
    });
    step("target: reads the instance", [](World& w) { w.target.stored(w.owner, w.failed, w.completed, false); });
    if (from_.to_target[0] != Word::Nothing && from_.target_sees)
      step("target: hears", [](World& w) {
        if (take(w.to_target) == Word::Released) w.target.source_released();
        else w.target.source_kept();
      });
  }

  void target_does() {
    TargetHandover::Wants wants = from_.target.wants();
    if (wants.say_loaded) step("target: says loaded", [](World& w) { if (w.link) send(w.to_source, Word::Loaded); w.target.loaded_said(); });
    if (wants.say_resumed) step("target: says resumed", [](World& w) { if (w.link) send(w.to_source, Word::Resumed); w.target.resumed_said(); });
    if (wants.resume && from_.guest == Target::Loaded) step("target: resumes", [](World& w) { w.guest = Target::Running; });
    if (wants.complete) step("target: moves the instance", [](World& w) { w.completed = true; });
    if (wants.abandon) step("target: abandons", [](World& w) {
      REQUIRE(w.guest != Target::Running);
      if (w.guest != Target::None || w.job != Job::Active) w.guest = Target::Gone;
      if (w.guest == Target::Gone || w.guest == Target::None) w.target.abandoned();
    });
  }

  void link() {
    if (from_.link && from_.cuts) step("the link is cut", [](World& w) { --w.cuts; w.link = false; w.to_source = w.to_target = {}; }, true);
    if (!from_.link) {
      if (from_.source_sees) step("source: the link is gone", [](World& w) { w.source_sees = false; w.source.link(false); });
      if (from_.target_sees) step("target: the link is gone", [](World& w) { w.target_sees = false; w.target.link(false); });
      bool first = from_.cuts == 1 && from_.source_deaths == 1 && from_.target_deaths == 1;
      // The source opens it anew; the target then knows that an older one is no more.
      if (!from_.source_sees && (first || rules_.link_returns))
        step("a link", [](World& w) {
          w.link = w.source_sees = w.target_sees = true;
          w.to_source = w.to_target = {};
          w.source.link(true);
          w.target.link(true);
        });
    }
  }

  void deaths() {
    if (from_.source_deaths)
      step("the source's virt-handler dies", [](World& w) {
        --w.source_deaths;
        if (w.call == Call::Sent) w.late_call = true;
        w.call = Call::None;
        w.source = SourceHandover(w.note);
        w.link = w.source_sees = false;
        w.to_source = w.to_target = {};
      }, true);
    if (from_.target_deaths)
      step("the target's virt-handler dies", [](World& w) {
        --w.target_deaths;
        w.target = TargetHandover();
        w.link = w.target_sees = false;
        w.to_source = w.to_target = {};
      }, true);
  }

  const World& from_;
  const Rules& rules_;
  std::vector<Edge> out_;
};

bool twice(const World& w) { return w.qemu == Source::Running && w.guest == Target::Running; }
bool nowhere(const World& w) { return w.qemu == Source::Dead && w.guest != Target::Loaded && w.guest != Target::Running; }
bool untrue(const World& w) {
  return (w.owner == Owner::Source && w.qemu == Source::Dead) || (w.owner == Owner::Target && w.qemu != Source::Dead) ||
         (w.completed && w.guest != Target::Running) || (w.completed && w.failed);
}
bool settled(const World& w) {
  bool moved = w.qemu == Source::Dead && w.guest == Target::Running && w.completed && !w.failed;
  bool stayed = w.qemu == Source::Running && (w.guest == Target::Gone || w.guest == Target::None) && w.failed && !w.completed;
  return moved || stayed;
}

struct Explored {
  std::vector<World> worlds;
  std::vector<std::vector<unsigned>> calm;   // successors when nothing more goes wrong
  std::vector<std::pair<unsigned, const char*>> from;
};

std::string path_to(const Explored& all, unsigned at) {
  std::string out;
  while (at != 0) {
    out = std::string(all.from[at].second) + "\n  " + out;
    at = all.from[at].first;
  }
  return "  " + out;
}

Explored explore(World start, const Rules& rules) {
  Explored out;
  std::unordered_map<std::string, unsigned> known;
  auto add = [&](const World& w, unsigned from, const char* what) {
    auto [at, fresh] = known.emplace(bytes_of(w), static_cast<unsigned>(out.worlds.size()));
    if (fresh) {
      out.worlds.push_back(w);
      out.calm.emplace_back();
      out.from.emplace_back(from, what);
    }
    return at->second;
  };
  add(start, 0, "");
  for (unsigned i = 0; i < out.worlds.size(); ++i) {
    World w = out.worlds[i];
    if (twice(w)) FAIL("the guest runs twice:\n" << path_to(out, i));
    if (nowhere(w)) FAIL("the guest is nowhere:\n" << path_to(out, i));
    if (untrue(w)) FAIL("the instance says what is not so:\n" << path_to(out, i));
    for (Edge& edge : Steps(w, rules).all()) {
      unsigned to = add(edge.to, i, edge.what);
      if (!edge.fault && to != i) out.calm[i].push_back(to);
    }
  }
  return out;
}

/// Every state can come to rest with the guest on one side, without any further fault; and rests only so.
void check_comes_to_rest(const Explored& all) {
  std::vector<std::vector<unsigned>> back(all.worlds.size());
  for (unsigned i = 0; i < all.worlds.size(); ++i)
    for (unsigned to : all.calm[i]) back[to].push_back(i);
  std::vector<bool> good(all.worlds.size());
  std::deque<unsigned> queue;
  for (unsigned i = 0; i < all.worlds.size(); ++i)
    if (settled(all.worlds[i])) { good[i] = true; queue.push_back(i); }
  while (!queue.empty()) {
    unsigned at = queue.front();
    queue.pop_front();
    for (unsigned from : back[at])
      if (!good[from]) { good[from] = true; queue.push_back(from); }
  }
  for (unsigned i = 0; i < all.worlds.size(); ++i)
    if (!good[i]) FAIL("nobody ever runs the guest again, or the instance never says so:\n" << path_to(all, i));
}

}  // namespace

TEST_CASE("the handover, whatever happens in whatever order") {
  struct Case { const char* name; Rules rules; bool cancelled; unsigned char source_deaths, target_deaths, cuts, daemon_faults; };
  const Case cases[] = {
      {"nothing fails", {}, false, 0, 0, 0, 0},
      {"libvirt fails", {}, false, 0, 0, 0, 1},
      {"the link is cut and comes back", {}, false, 0, 0, 1, 1},
      {"the link is cut twice", {}, false, 0, 0, 2, 0},
      {"the link is cut for good", {.link_returns = false}, false, 0, 0, 1, 1},
      {"the source's virt-handler dies", {}, false, 1, 0, 0, 1},
      {"the source's virt-handler dies twice", {}, false, 2, 0, 0, 0},
      {"the target's virt-handler dies", {}, false, 0, 1, 0, 1},
      {"both die", {}, false, 1, 1, 0, 0},
      {"the source dies, and the link is cut", {}, false, 1, 0, 1, 0},
      {"the source dies, and the link never comes back", {.link_returns = false}, false, 1, 0, 0, 1},
      {"the target dies, and the link never comes back", {.link_returns = false}, false, 0, 1, 0, 1},
      {"cancelled", {}, true, 0, 0, 1, 0},
      {"cancelled, and the source dies", {}, true, 1, 0, 0, 0},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      World start;
      start.source_deaths = c.source_deaths;
      start.target_deaths = c.target_deaths;
      start.cuts = c.cuts;
      start.daemon_faults = c.daemon_faults;
      if (c.cancelled) start.source.cancel();
      start.link = start.source_sees = start.target_sees = true;
      start.source.link(true);
      start.target.link(true);
      Explored all = explore(start, c.rules);
      UNSCOPED_INFO(all.worlds.size() << " states");
      check_comes_to_rest(all);
      CHECK(all.worlds.size() > 20);
    }
  }
}
