// Every phase of a migration, and what may come across it.
#include <catch2/catch.hpp>

#include "virt-controller/migration/plan.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
using namespace nodevirt::virt_controller::migration;

namespace {

std::shared_ptr<PodObject> pod(std::string phase = "Running", std::string node = "target") {
  auto p = std::make_shared<PodObject>();
  p->meta.name = "virt-launcher-vm-2";
  p->meta.uid = "pod2";
  p->phase = std::move(phase);
  p->node = std::move(node);
  p->compute_running = p->phase == "Running";
  return p;
}

Observation seen(std::string phase) {
  Observation s;
  s.phase = std::move(phase);
  s.finalized = true;
  s.instance = true;
  s.instance_phase = "Running";
  s.instance_node = "source";
  s.unschedulable_limit = kUnschedulableLimit;
  s.pending_limit = kPendingLimit;
  s.in_phase = std::chrono::seconds(30);
  return s;
}

Observation with_target(std::string phase) {
  auto s = seen(std::move(phase));
  s.target = pod();
  return s;
}

Observation handed(std::string phase) {
  auto s = with_target(std::move(phase));
  s.state.ours = true;
  return s;
}

template <class F>
Observation but(Observation s, F change) {
  change(s);
  return s;
}

}  // namespace

TEST_CASE("a migration goes step by step") {
  struct Case {
    std::string name;
    Observation seen;
    Step step;
    std::string phase;
  };
  const std::vector<Case> cases = {
      {"a new one is taken up", but(seen(""), [](auto& s) { s.finalized = false; }), Step::Initialize, "Pending"},
      {"its finalizer was taken away", but(seen("Running"), [](auto& s) { s.finalized = false; }), Step::Initialize, ""},
      {"it waits for its turn", seen("Pending"), Step::None, ""},
      {"its turn", but(seen("Pending"), [](auto& s) { s.turn = true; }), Step::CreateTarget, "Scheduling"},
      {"the instance does not run yet", but(seen("Pending"), [](auto& s) { s.turn = true; s.instance_phase = "Scheduled"; }), Step::None, ""},
      {"its target waits for a node", but(with_target("Scheduling"), [](auto& s) { s.target = pod("Pending", ""); }), Step::None, ""},
      {"its target starts", but(with_target("Scheduling"), [](auto& s) { s.target = pod("Pending"); }), Step::None, ""},
      {"its target runs", with_target("Scheduling"), Step::None, "Scheduled"},
      {"it is handed over", with_target("Scheduled"), Step::HandOver, "PreparingTarget"},
      {"it was handed over before a crash", handed("Scheduled"), Step::None, "PreparingTarget"},
      {"the target is prepared", handed("PreparingTarget"), Step::None, ""},
      {"the target is ready", but(handed("PreparingTarget"), [](auto& s) { s.state.target_ready = true; }), Step::None, "TargetReady"},
      {"it has begun already", but(handed("PreparingTarget"), [](auto& s) { s.state.started = true; }), Step::None, "TargetReady"},
      {"the source begins", but(handed("TargetReady"), [](auto& s) { s.state.started = true; }), Step::None, "Running"},
      {"it goes on", but(handed("Running"), [](auto& s) { s.state.started = true; }), Step::None, ""},
      {"it has succeeded", but(handed("Running"), [](auto& s) { s.state.started = s.state.completed = true; }), Step::None, "Succeeded"},
      {"it succeeded while nobody looked", but(handed("PreparingTarget"), [](auto& s) { s.state.completed = true; }), Step::None, "Succeeded"},
      {"the source's pod is left over", but(handed("Succeeded"), [](auto& s) { s.source = pod("Running", "source"); s.state.completed = true; }), Step::DeleteSource, ""},
      {"the label is left over", but(handed("Succeeded"), [](auto& s) { s.label_left = true; }), Step::ClearLabel, ""},
      {"nothing is left over", handed("Succeeded"), Step::RemoveFinalizer, ""},
      {"it was let go", but(handed("Succeeded"), [](auto& s) { s.finalized = false; }), Step::None, ""},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      Plan p = plan(c.seen);
      CHECK(p.step == c.step);
      CHECK(p.phase == c.phase);
    }
}

TEST_CASE("a migration that cannot go on fails, and takes back what it handed over") {
  struct Case {
    std::string name;
    Observation seen;
    Step step;
    std::string reason;
  };
  auto unschedulable = [](auto& s) {
    auto p = pod("Pending", "");
    p->conditions.push_back({"PodScheduled", "False", "Unschedulable", "0/2 nodes are available", "", ""});
    s.target = p;
    s.in_phase = std::chrono::minutes(5);
  };
  const std::vector<Case> cases = {
      {"no instance", but(seen("Pending"), [](auto& s) { s.instance = false; }), Step::None, "vmi does not exist"},
      {"the instance has ended", but(handed("Running"), [](auto& s) { s.instance_phase = "Succeeded"; }), Step::None, "shutdown"},
      {"the instance is being deleted", but(seen("Pending"), [](auto& s) { s.instance_deleting = true; }), Step::None, "being deleted"},
      {"the instance cannot be migrated", but(seen("Pending"), [](auto& s) { s.refused = true; s.refusal = "Reason: X"; }), Step::None, "Cannot migrate VMI, Reason: X"},
      {"another one is under way", but(seen("Pending"), [](auto& s) { s.rival = true; }), Step::None, "another migration job"},
      {"another one got there first", but(with_target("Scheduled"), [](auto& s) { s.other_under_way = true; }), Step::TakeBack, "another migration job"},
      {"no node takes the target", but(with_target("Scheduling"), unschedulable), Step::None, "0/2 nodes"},
      {"the target does not start", but(with_target("Scheduling"), [](auto& s) { s.target = pod("Pending"); s.in_phase = std::chrono::minutes(15); }), Step::None, "does not run after 900 s"},
      {"the target was placed on the source's node", but(with_target("Scheduling"), [](auto& s) { s.target = pod("Running", "source"); }), Step::None, "source's node"},
      {"the target was removed", but(handed("TargetReady"), [](auto& s) { s.target = nullptr; }), Step::TakeBack, "was removed"},
      {"the target ended", but(handed("PreparingTarget"), [](auto& s) { s.target = pod("Failed"); }), Step::TakeBack, "ended"},
      {"the target is not prepared", but(handed("PreparingTarget"), [](auto& s) { s.in_phase = kPrepareLimit; }), Step::TakeBack, "did not prepare"},
      {"the source does not begin", but(handed("TargetReady"), [](auto& s) { s.in_phase = kPrepareLimit; }), Step::TakeBack, "did not begin"},
      {"the state was taken over", with_target("Running"), Step::None, "taken over"},
      {"virt-handler says so", but(handed("Running"), [](auto& s) { s.state.failed = true; s.state.failure_reason = "no memory"; }), Step::None, "no memory"},
      {"failed counts before completed", but(handed("Running"), [](auto& s) { s.state.failed = s.state.completed = true; }), Step::None, "source node reported"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      Plan p = plan(c.seen);
      CHECK(p.phase == "Failed");
      CHECK(p.step == c.step);
      CHECK_THAT(p.reason, Catch::Contains(c.reason));
    }
}

TEST_CASE("once it has begun only virt-handler ends it") {
  auto begun = but(handed("Running"), [](auto& s) { s.state.started = true; });
  CHECK(plan(but(begun, [](auto& s) { s.target = nullptr; })).phase.empty());
  CHECK(plan(but(begun, [](auto& s) { s.target = pod("Failed"); })).phase.empty());
  CHECK(plan(but(begun, [](auto& s) { s.in_phase = std::chrono::hours(9); })).phase.empty());
}

TEST_CASE("cancelling, at every phase") {
  struct Case {
    std::string phase;
    bool ours, started, requested;
    Step step;
    std::string next;
  };
  const std::vector<Case> cases = {
      {"", false, false, false, Step::None, "Failed"},
      {"Pending", false, false, false, Step::None, "Failed"},
      {"Scheduling", false, false, false, Step::None, "Failed"},
      {"Scheduled", false, false, false, Step::TakeBack, "Failed"},
      {"Scheduled", true, false, false, Step::TakeBack, "Failed"},
      {"PreparingTarget", true, false, false, Step::TakeBack, "Failed"},
      {"TargetReady", true, false, false, Step::TakeBack, "Failed"},
      {"TargetReady", true, true, false, Step::RequestAbort, ""},
      {"Running", true, true, false, Step::RequestAbort, ""},
      {"Running", true, true, true, Step::None, ""},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.phase << " ours " << c.ours << " started " << c.started << " requested " << c.requested) {
      auto s = with_target(c.phase);
      s.deleting = true;
      s.state = {c.ours, c.started, c.started, false, false, c.requested, ""};
      Plan p = plan(s);
      CHECK(p.step == c.step);
      CHECK(p.phase == c.next);
    }
  Observation never_seen;
  never_seen.deleting = true;
  CHECK(plan(never_seen).step == Step::None);
}

TEST_CASE("what is left of a failed migration goes, but never the pod that serves") {
  auto s = with_target("Failed");
  CHECK(plan(s).step == Step::DeleteTarget);
  s.instance_node = "target";
  CHECK(plan(s).step == Step::RemoveFinalizer);
  s.instance_node = "source";
  s.label_left = true;
  auto dying = pod();
  dying->meta.deletion_timestamp = "2026-01-01T00:00:00Z";
  s.target = dying;
  CHECK(plan(s).step == Step::None);  // virt-handler there still needs the label
  s.target = nullptr;
  CHECK(plan(s).step == Step::ClearLabel);
  s.label_left = false;
  CHECK(plan(s).step == Step::RemoveFinalizer);
}

TEST_CASE("own writes that are not shown yet are waited for") {
  auto s = seen("Scheduling");
  s.target_pending = true;
  CHECK(plan(s).phase.empty());
  CHECK(plan(s).again);
  auto t = with_target("PreparingTarget");
  t.in_phase = std::chrono::seconds(3);
  CHECK(plan(t).phase.empty());
  CHECK(plan(t).again);
}
