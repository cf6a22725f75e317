// Why a migration did not come about, for a person: the first, true cause out of what several parties tell of one end. Pure.
#pragma once
#include <string>
#include <string_view>

namespace nodevirt::virt_handler::migration {

struct Told {
  std::string failure;      ///< the first reason given: by libvirt's job, by who called it off, by the policy
  std::string target_end;   ///< what has ended at the target, as its node tells: "QEMU", "pod"; empty: nothing that is known
  std::string stream;       ///< the first stream that could not be carried
  std::string target_node;
};

/// What a job's end says that virt-handler itself called off, for a reason of its own.
constexpr std::string_view kCalledOff = "the migration was called off";

/// Says only that something broke, not what: somebody else may know more.
bool is_vague(std::string_view failure);
std::string why_it_failed(const Told& told);

}  // namespace nodevirt::virt_handler::migration
