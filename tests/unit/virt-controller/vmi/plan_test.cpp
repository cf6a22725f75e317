// What virt-controller does for an instance in every state, and what it leaves to virt-handler.
#include <catch2/catch.hpp>

#include "virt-controller/vmi/plan.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
using namespace nodevirt::virt_controller::vmi;

namespace {

PodInformer::Ptr pod(const char* phase, bool deleting = false) {
  auto p = std::make_shared<PodObject>();
  p->meta.name = "p";
  p->phase = phase;
  if (deleting) p->meta.deletion_timestamp = "x";
  return p;
}

const char* name(Step s) {
  switch (s) {
    case Step::None: return "none";
    case Step::Initialize: return "initialize";
    case Step::CreatePod: return "create pod";
    case Step::DeletePods: return "delete pods";
    case Step::ConfirmPodGone: return "confirm";
    case Step::Fence: return "fence";
    case Step::ForcePods: return "force pods";
    case Step::DropPods: return "drop pods";
    case Step::RemoveFinalizer: return "release";
  }
  return "?";
}

}  // namespace

TEST_CASE("the life of an instance") {
  struct Case { const char *name, *phase, *pod; bool deleting, pod_deleting, pod_pending, claim_missing; const char* want; };
  auto c = GENERATE(values<Case>({
      {"new", "", "", false, false, false, false, "initialize"},
      {"taken up", "Pending", "", false, false, false, false, "create pod"},
      {"claim missing", "Pending", "", false, false, false, true, "none"},
      {"pod made, not seen", "Pending", "", false, false, true, false, "none"},
      {"pod seen", "Pending", "Pending", false, false, false, false, "none"},
      {"scheduling", "Scheduling", "Pending", false, false, false, false, "none"},
      {"scheduling, pod not seen yet", "Scheduling", "", false, false, true, false, "none"},
      {"scheduling, pod gone", "Scheduling", "", false, false, false, false, "confirm"},
      {"pod runs", "Scheduling", "Running", false, false, false, false, "none"},
      {"handed over", "Scheduled", "Running", false, false, false, false, "none"},
      {"runs", "Running", "Running", false, false, false, false, "none"},
      {"runs, is deleted: virt-handler shuts it down", "Running", "Running", true, false, false, false, "none"},
      {"runs, pod is deleted: virt-handler sees it", "Running", "Running", false, true, false, false, "none"},
      {"runs, pod ended", "Running", "Failed", false, false, false, false, "none"},
      {"runs, pod gone", "Running", "", false, false, false, false, "confirm"},
      {"runs, is deleted, pod gone", "Running", "", true, false, false, false, "confirm"},
      {"ended", "Succeeded", "Running", false, false, false, false, "delete pods"},
      {"ended, pod is going", "Succeeded", "Running", false, true, false, false, "none"},
      {"ended, pod gone", "Failed", "", false, false, false, false, "none"},
      {"ended, is deleted, pod runs", "Failed", "Running", true, false, false, false, "delete pods"},
      {"ended, is deleted, pod is going", "Failed", "Running", true, true, false, false, "none"},
      {"ended, is deleted, pod gone", "Failed", "", true, false, false, false, "release"},
      {"deleted before anything was made", "Pending", "", true, false, false, false, "release"},
      {"deleted while its pod waits", "Scheduling", "Pending", true, false, false, false, "delete pods"},
      {"deleted while its pod runs, not handed over", "Scheduling", "Running", true, false, false, false, "delete pods"},
      {"deleted when its pod was just made", "Pending", "", true, false, true, false, "confirm"},
  }));
  DYNAMIC_SECTION(c.name) {
    Observation seen;
    seen.phase = c.phase;
    seen.deleting = c.deleting;
    seen.finalized = *c.phase;
    seen.pod_pending = c.pod_pending;
    if (c.claim_missing) seen.missing_claim = "data";
    if (*c.pod) seen.pods.push_back(pod(c.pod, c.pod_deleting));
    CHECK(name(plan(seen).step) == std::string(c.want));
  }
}

TEST_CASE("an instance is let go only when it has no pod at all") {
  Observation seen;
  seen.phase = "Succeeded";
  seen.deleting = seen.finalized = true;
  seen.pods = {pod("Failed", true), pod("Running", true)};
  CHECK(plan(seen).step == Step::None);
  seen.pods.pop_back();
  CHECK(plan(seen).step == Step::None);
  seen.pods.clear();
  CHECK(plan(seen).step == Step::RemoveFinalizer);
  seen.finalized = false;
  CHECK(plan(seen).step == Step::None);
}

TEST_CASE("a pod that lives counts before one that ended") {
  Observation seen;
  auto live = pod("Running");
  seen.pods = {pod("Failed"), live};
  CHECK(seen.pod() == live);
  std::swap(seen.pods[0], seen.pods[1]);
  CHECK(seen.pod() == live);
}

TEST_CASE("a guest whose fence deadline passed") {
  struct Case { const char *name, *phase, *pod; bool pod_deleting; std::optional<Clock::Duration> left; const char* want; bool again; };
  auto c = GENERATE(values<Case>({
      {"no fence", "Running", "Running", false, std::nullopt, "none", false},
      {"it is renewed", "Running", "Running", false, 20s, "none", true},
      {"passed", "Running", "Running", false, 0s, "fence", false},
      {"passed, before the guest was seen running", "Scheduled", "Running", false, 0s, "fence", false},
      {"passed, its pod is to be deleted", "Running", "Running", true, 0s, "fence", false},
      {"not handed over: no guest was started", "Scheduling", "Running", false, 0s, "none", true},
      {"failed, passed", "Failed", "Running", false, 0s, "force pods", false},
      {"failed, its pod waits for a node that is silent", "Failed", "Running", true, 0s, "force pods", false},
      {"ended, its pod is going, not passed yet", "Succeeded", "Running", true, 20s, "none", true},
      {"ended, its pod is to go, not passed yet", "Succeeded", "Running", false, 20s, "delete pods", true},
  }));
  DYNAMIC_SECTION(c.name) {
    Observation seen;
    seen.phase = c.phase;
    seen.finalized = true;
    seen.pods.push_back(pod(c.pod, c.pod_deleting));
    seen.fence_left = c.left;
    Plan p = plan(seen);
    CHECK(std::string(name(p.step)) == c.want);
    CHECK(p.again.has_value() == c.again);
  }
}

TEST_CASE("pods in which nothing was started do not wait for a node that does not answer") {
  struct Case { const char *name, *phase; bool deleting, stranded, pod_deleting; const char* want; };
  auto c = GENERATE(values<Case>({
      {"its node is silent, and it waits", "Scheduling", false, true, false, "none"},  // its status fails it first
      {"failed", "Failed", false, true, false, "drop pods"},
      {"failed, the pod is going and never will", "Failed", false, true, true, "drop pods"},
      {"deleted", "Scheduling", true, true, true, "drop pods"},
      {"deleted, and its node is well", "Scheduling", true, false, true, "none"},
      {"it was handed over", "Running", false, true, false, "none"},
  }));
  DYNAMIC_SECTION(c.name) {
    Observation seen;
    seen.phase = c.phase;
    seen.finalized = true;
    seen.deleting = c.deleting;
    seen.stranded = c.stranded;
    seen.pods.push_back(pod("Pending", c.pod_deleting));
    CHECK(std::string(name(plan(seen).step)) == c.want);
  }
}
