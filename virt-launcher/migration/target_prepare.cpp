// Before the guest comes: what its instance needs here is made, and what the source has to know is said.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/vmi.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/domain/destination.hpp"
#include "virt-launcher/migration/base_identity.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/target.hpp"
#include "virt-launcher/storage/image.hpp"
#include "virt-launcher/storage/volumes.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

NV_DECLARE_FAILPOINT(kBeforePrepare, "launcher-target-before-prepare");
NV_DECLARE_FAILPOINT(kPrepared, "launcher-target-prepared");

namespace {

// QEMU runs as the same user with the same rights: what this process may do, it may.
bool userfaultfd_works() { return static_cast<bool>(Fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)))); }

// What only the source's pod has; of claims, those that move to another one.
bool is_copied(const api::Volume& volume, const Json& instance) {
  using K = api::VolumeKind;
  return volume.kind == K::containerDisk || volume.kind == K::ephemeral || volume.kind == K::emptyDisk || storage::moves_to(instance, volume);
}

}  // namespace

Result<v1::PrepareTargetResponse> Target::prepare(const v1::PrepareTargetRequest& q) {
  if (q.migration_uid().empty()) return Error(Code::InvalidArgument, "a migration needs a uid");
  if (q.vmi_json().size() > (4u << 20)) return Error(Code::InvalidArgument, "the instance is larger than 4 MiB");
  NV_TRY(Json raw, parse_json(q.vmi_json()));
  NV_TRY(api::Instance instance, api::decode_instance(raw));
  NV_TRY_VOID(hooks_.check(instance.metadata.uid));
  std::lock_guard action(action_mutex_);
  NV_TRY(Record r, read_record(context_.paths.migration));
  if (r.role != Role::none && (r.role != Role::target || r.uid != q.migration_uid()))
    return refuse("MigrationUnderWay", fmt::format("this pod belongs to the migration {}", r.uid));
  if (r.step == Step::abandoned) return refuse("Abandoned", "this target was given up");
  v1::PrepareTargetResponse answer;
  if (r.step == Step::prepared || r.step == Step::resumed)
    if (auto saved = read_file(context_.paths.migration / kAnswerFile, 4u << 20); saved.ok() && answer.ParseFromString(*saved)) return answer;
  if (auto domain = context_.domain(20s); domain.ok()) {
    NV_TRY(libvirt::StateAndReason s, domain->state());
    if (s.active()) return refuse("GuestRuns", "a guest runs in this pod already");
  } else if (domain.error().code != Code::NotFound) {
    return domain.error();
  }
  NV_FAILPOINT(kBeforePrepare);
  // From here on no Sync may start a guest in this pod.
  NV_TRY_VOID(save({q.migration_uid(), Role::target, Step::prepared, "", false, false, 0}));
  {
    std::lock_guard lock(mutex_);
    told_ = true;
  }
  context_.events.begin(q.migration_uid(), v1::MigrationEvent::SAMPLE);

  NV_TRY(domain::Options options, hooks_.prepare(q));
  NV_TRY(std::string xml, hooks_.definition(q, options));
  NV_TRY(auto targets, domain::disk_targets(xml));
  for (auto& d : options.disks) {
    v1::TargetDisk* out = answer.add_disks();
    out->set_volume(d.volume);
    out->set_path(d.path);
    out->set_format(d.format);
    out->set_block(d.block);
    out->set_backing_path(d.backing_path);
    out->set_backing_format(d.backing_format);
    out->set_base_identity(base_identity(d.backing_path));
    if (auto image = storage::inspect_image(d.path); image.ok()) out->set_virtual_size(image->virtual_size);
    const api::Volume* volume = instance.volume(d.volume);
    out->set_copied(volume && is_copied(*volume, raw));
    if (out->copied()) answer.add_copied_disks(targets[d.volume]);
  }
  std::error_code ec;
  fs::path link = context_.paths.migration / kTargetLibvirtSocket;
  fs::remove(link, ec);
  fs::create_symlink(context_.paths.libvirt / "run/libvirt/libvirt-sock", link, ec);
  if (ec) return errno_error(ec.value(), "link " + link.string());
  answer.set_memory_socket((context_.paths.migration / kMemorySocket).string());
  answer.set_disk_socket((context_.paths.migration / kDiskSocket).string());
  answer.set_socket_dir(context_.paths.instance.string());
  *answer.mutable_interfaces() = q.node().interfaces();
  answer.set_post_copy_possible(q.allow_post_copy() && userfaultfd_works());
  NV_TRY_VOID(write_file_atomic(context_.paths.migration / kAnswerFile, answer.SerializeAsString()));
  NV_FAILPOINT(kPrepared);
  log::info("migration {}: ready for the guest", q.migration_uid());
  return answer;
}

}  // namespace nodevirt::virt_launcher::migration
