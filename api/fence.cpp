#include "api/fence.hpp"

#include <charconv>

namespace nodevirt::api {

namespace {

constexpr std::string_view kLeasePrefix = "virt-handler-";

std::optional<std::int64_t> seconds_of(const std::string& text) {
  std::int64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value < kMinFenceSeconds || value > kMaxFenceSeconds) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::int64_t> fence_seconds(const std::map<std::string, std::string>& annotations) {
  for (std::string_view name : {kFenceAnnotation, kFenceAtStartAnnotation})
    if (auto found = annotations.find(std::string(name)); found != annotations.end())
      if (auto seconds = seconds_of(found->second)) return seconds;
  return std::nullopt;
}

std::map<std::string, std::int64_t> fence_entries(const std::map<std::string, std::string>& annotations) {
  std::map<std::string, std::int64_t> out;
  for (auto it = annotations.lower_bound(std::string(kFenceEntryPrefix)); it != annotations.end(); ++it) {
    if (!it->first.starts_with(kFenceEntryPrefix)) break;
    if (auto seconds = seconds_of(it->second)) out.emplace(it->first.substr(kFenceEntryPrefix.size()), *seconds);
  }
  return out;
}

std::string fence_lease_name(std::string_view node) { return std::string(kLeasePrefix) + std::string(node); }

std::string fence_lease_node(std::string_view lease) {
  return lease.starts_with(kLeasePrefix) ? std::string(lease.substr(kLeasePrefix.size())) : std::string();
}

}  // namespace nodevirt::api
