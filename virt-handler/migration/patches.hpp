// What the two virt-handlers write onto a migrating instance: JSON patches, each good for this one migration alone
// (they test its uid). Pure. Empty when there is nothing to change.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_handler::migration {

// By the source.
Json started_patch(const Json& vmi, const std::string& uid, Clock::WallTime now);
Json mode_patch(const Json& vmi, const std::string& uid, const std::string& mode);
Json progress_patch(const Json& vmi, const std::string& uid, const std::string& text);
Json aborting_patch(const Json& vmi, const std::string& uid);
/// The decision for the target; the instance must be as it was read. Empty when there is a decision already.
Json owner_target_patch(const Json& vmi, const std::string& uid);
/// The end, with the guest at the source: decision, failed, reason; the instance must be as it was read.
Json failed_patch(const Json& vmi, const std::string& uid, const std::string& reason, Clock::WallTime now);
/// The end in post-copy with the target gone: the guest is lost. The instance must be as it was read; empty when it moved after all.
Json lost_patch(const Json& vmi, const std::string& uid, const std::string& reason, Clock::WallTime now);

// By the target.
Json address_patch(const Json& vmi, const std::string& uid, const std::string& address);
Json detected_patch(const Json& vmi, const std::string& uid, Clock::WallTime now);

struct NewHome {
  std::string node, pod_uid;
  std::vector<std::string> addresses;   ///< the pod's
  std::string failure;                  ///< the guest is lost: why
};
/// The end, with the guest at the target: node, addresses and completion at once. With the guest lost: completed and failed,
/// and the instance has failed too.
Json completed_patch(const Json& vmi, const std::string& uid, const NewHome& home, Clock::WallTime now);

}  // namespace nodevirt::virt_handler::migration
