// What ends at the target before the guest runs here is told to the source, which itself sees but broken streams.
#include "virt-handler/migration/target/incoming_impl.hpp"

namespace nodevirt::virt_handler::migration {

void Incoming::Impl::tell_of_its_end(const std::shared_ptr<Launcher>& launcher) {
  if (handover.decision() != TargetHandover::Decision::Open || state.finished() || abandoning || post_copy) return;
  bool no_pod = !launcher || launcher->pod_gone || launcher->pod->ended();
  bool known = !no_pod && launcher->connected && launcher->domain;
  // Right after its end libvirt still has the domain.
  auto lives = [](const launcher::v1::DomainState& d) { return d.present() && d.state() != "Shutoff" && d.state() != "Crashed"; };
  if (known && lives(*launcher->domain)) {
    qemu_seen = true;
    end_said.clear();  // post-copy begins the job, and QEMU, once more
    return;
  }
  std::string ended;
  if (no_pod && prepared) ended = "pod";
  else if (known && qemu_seen) ended = "QEMU";
  if (ended.empty() || ended == end_said || !link) return;
  Json message = plain_message("ended");
  message["what"] = ended;
  link->say(message);
  end_said = std::move(ended);
}

}  // namespace nodevirt::virt_handler::migration
