#include "virt-controller/vm/plan.hpp"

namespace nodevirt::virt_controller::vm {

namespace {

// What it would start from may be half a copy.
bool must_wait_for_a_person(const PlanInput& in, Plan& p) {
  if (!in.machine.must_be_recovered) return false;
  p.failure = Error(Code::FailedPrecondition, "ManualRecoveryRequired",
                    "the guest ended while its volumes were being copied: set the claims of the template back to what they were, or, to start "
                    "from the copies as they are, take spec.updateVolumesStrategy away");
  return true;
}

Plan create(const PlanInput& in, Plan p) {
  if (in.create_pending) {
    p.again = kEcho;
    return p;
  }
  if (must_wait_for_a_person(in, p)) return p;
  p.step = Step::Create;
  return p;
}

Plan create_after_backoff(const PlanInput& in, Plan p) {
  if (must_wait_for_a_person(in, p)) return p;
  auto left = backoff_left(in.machine, in.now);
  if (left > Clock::Duration::zero()) {
    p.again = left;
    return p;
  }
  return create(in, p);
}

Plan remove(const PlanInput& in, Plan p) {
  if (in.instance->deleting || in.delete_pending) return p;
  p.step = Step::Delete;
  // A final phase is only known from the instance itself: what follows from it is written down first.
  p.record_first = in.instance->final();
  return p;
}

Plan follow_strategy(const PlanInput& in, Plan p) {
  const Machine& m = in.machine;
  const Instance* i = in.instance;
  switch (*m.strategy) {
    case RunStrategy::Always:
      if (!i) return create_after_backoff(in, p);
      return i->final() || stop_requested(m, *i) ? remove(in, p) : p;
    case RunStrategy::RerunOnFailure:
      if (!i) return rerun_wants_start(m) ? create_after_backoff(in, p) : p;
      if (!i->final() && !stop_requested(m, *i)) return p;
      p = remove(in, p);
      p.request_start = p.step == Step::Delete && i->phase == "Failed" && !m.start_requested() && !stop_requested(m, *i);
      return p;
    case RunStrategy::Manual:
      if (!i) return m.start_requested() ? create(in, p) : p;
      return stop_requested(m, *i) ? remove(in, p) : p;
    case RunStrategy::Halted:
      if (i) return remove(in, p);
      if (m.start_of_halted()) p.step = Step::SwitchOn;
      return p;
    case RunStrategy::Once:
      return i ? p : create(in, p);
    case RunStrategy::WaitAsReceiver:
      p.failure = Error(Code::Unimplemented, "FailedCreate", "runStrategy WaitAsReceiver is not supported");
      return p;
  }
  return p;
}

}  // namespace

bool owns(const Machine& m, const Instance* i) { return i && i->owner == m.uid; }

Plan plan(const PlanInput& in) {
  const Machine& m = in.machine;
  Plan p;
  if (m.deleting) {
    if (!m.finalized) return p;
    if (!owns(m, in.instance) || m.orphaning) {
      // An instance that we made a moment ago must not slip out of our hands.
      if (in.create_pending && !m.orphaning) p.again = kEcho;
      else p.step = Step::RemoveFinalizer;
      return p;
    }
    return remove(in, p);
  }
  p.add_finalizer = !m.finalized;
  if (!m.strategy) {
    p.failure = Error(Code::InvalidArgument, "InvalidSpec", m.complaint);
    return p;
  }
  if (in.instance && !owns(m, in.instance)) {
    if (in.instance->deleting) return p;  // its end wakes us
    if (in.instance->owner.empty()) {
      p.step = Step::Adopt;
      return p;
    }
    if (is_set_to_start(m, nullptr))
      p.failure = Error(Code::FailedPrecondition, "FailedCreate",
                        fmt::format("there is a VirtualMachineInstance {} that belongs to another object", m.name));
    return p;
  }
  return follow_strategy(in, p);
}

}  // namespace nodevirt::virt_controller::vm
