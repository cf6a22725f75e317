// The launcher's half of a live migration: what virt-handler may rely on.
//
// Paths, all in kMigrationDir of the pod (names: below). libvirt has one migration address for both ends, so memory.sock
// and disk.sock have one path in both pods:
//   source pod   source-libvirt.sock, memory.sock, disk.sock: virt-handler listens; libvirtd and QEMU connect, memory.sock
//                once per parallel connection (and QEMU once more for its main channel), disk.sock once per copied disk.
//                A file of an earlier migration must be removed before bind; the socket must be writable for the
//                launcher's user.
//   target pod   memory.sock, disk.sock: QEMU listens, from the moment libvirt prepares the migration (the source's
//                connections come after that, so a connect that is refused is an error). libvirt's stream goes to
//                target-libvirt.sock, a link to the pod's libvirtd that PrepareMigrationTarget makes.
//   migration.json  either side: the durable record {"uid","role","step",...}; a released source says step "released".
//                It can be read when the launcher is gone; it is replaced whole (rename), never written in place.
//
// Order of calls, one migration:
//   target  PrepareMigrationTarget(uid) -> answer; WatchMigration(uid)
//   source  MigrateVirtualMachine(uid, target = that answer, whole); WatchMigration(uid); SteerMigration as it likes
//   target  event LOADED
//   source  ReleaseSource(uid) -> released + guest_was_paused | kept | an error (below: ask again)
//   target  released: RenewFence, then ResumeTarget(uid, keep_paused = guest_was_paused); kept: AbandonTarget(uid)
//   source  DeleteVirtualMachine ends the pod; without it the pod ends by itself kGoodbye after the guest was gone, with
//           code 0 and the lifecycle event "Stopped", detail "Migrated": no end of the instance.
// Post-copy: libvirt leaves a guest paused at the target or lets post-copy begin, never both. SteerMigration's
// start_post_copy therefore ends the job and begins it again within the same migration: one pass over the memory, then
// post-copy, without a handover. Source: POST_COPY means that its vCPUs stand and will never run here again (CancelMigration
// and ReleaseSource refuse; QEMU ends by itself when all has come: ENDED). Target: POST_COPY means that the guest runs
// there, RESUMED (unasked) that it does and the pass had ended by itself; what follows ResumeTarget follows then, and
// ResumeTarget does nothing. A target that stopped before LOADED says nothing: the source's ENDED tells. After POST_COPY the
// target's RESUMED means that all of the memory is there. An interrupted post-copy goes on by itself as soon as the source's
// sockets lead to the target again (each is tried twice a second); until then, or until virt-handler ends the domain, the
// guest waits for its memory, the target tells POST_COPY with an error, and the domains have the reason PostcopyFailed (the target's not always). ENDED with an error then means that the
// source's QEMU is gone.
//
// WatchMigration's first event tells how things stand: NONE (nothing is known of that uid), SAMPLE (source: the job runs;
// target: prepared or coming), SWITCHOVER, POST_COPY, LOADED, RESUMED, ENDED, RELEASED. An ENDED with an error on the source says
// that the job failed ("cancelled" after CancelMigration; else the cause, then libvirt's words); the guest runs on there, or
// stands suspended when libvirt could not tell (its daemon was killed in the handover): then either ReleaseSource or CancelMigration decides.
//
// Error reasons (code FAILED_PRECONDITION unless said otherwise):
//   MigrationTarget    SyncVirtualMachine in a pod that waits for an incoming domain
//   MigrationUnderWay  another migration runs here        MigrationEnded  this uid has ended here; a uid runs once
//   NoMonitor          the guest was started without the second monitor; it must be restarted before it can migrate
//   NotMigrating       no migration of that uid is known
//   NotYet             code UNAVAILABLE, ask again. ReleaseSource: QEMU has not completed, or could not be reached or frozen.
//                      CancelMigration, SteerMigration: a new launcher has not found the job yet
//   Released           CancelMigration, MigrateVirtualMachine: the guest has left
//   SwitchedOver       CancelMigration: QEMU has sent all; the target takes the guest, or libvirt lets it go on here
//   NotLoaded          ResumeTarget: the domain is not here, or not whole
//   Resumed            AbandonTarget: the guest runs (or may run) here
//   PostCopyImpossible SteerMigration        PostCopy  CancelMigration: the guest runs at the target
//   Abandoned          ResumeTarget, PrepareMigrationTarget: the target was given up
#pragma once
#include <string_view>

namespace nodevirt::virt_launcher::migration {

inline constexpr std::string_view kSourceLibvirtSocket = "source-libvirt.sock";
inline constexpr std::string_view kTargetLibvirtSocket = "target-libvirt.sock";
inline constexpr std::string_view kMemorySocket = "memory.sock";
inline constexpr std::string_view kDiskSocket = "disk.sock";
inline constexpr std::string_view kRecordFile = "migration.json";

}  // namespace nodevirt::virt_launcher::migration
