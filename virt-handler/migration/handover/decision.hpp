// Who runs the guest after the switch-over. Two machines, one in each node's virt-handler, decide it together:
//
//   the target says "loaded"     all of the guest is there, paused, and waits
//   the source releases          its QEMU is frozen, seen to be still paused by the migration, and ended
//   the source says "released"   only now does the target let the guest run
//   or the source says "kept"    its guest runs (on): the target throws its copy away
//
// The source alone decides, and what it decided is true for ever: a QEMU that was ended stays ended, a guest
// that ran on is never released. When the link is gone the decision travels through the instance (an
// annotation). Both machines are pure: events in, wants out, each of them may be killed and made anew from what
// is durable (the launcher's record, the instance, the source's note) at any moment.
#pragma once

namespace nodevirt::virt_handler::migration {

/// The decision as it stands on the instance.
enum class Owner { None, Source, Target };

/// What the source's virt-handler keeps on its node, for its next life.
enum class Note {
  None,
  MayRelease,  ///< a release may have been asked for
  Kept,        ///< the guest stays: nothing may ever release it for this migration
};

}  // namespace nodevirt::virt_handler::migration
