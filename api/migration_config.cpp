#include "api/migration_config.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

#include "api/names.hpp"
#include "api/quantity.hpp"

namespace nodevirt::api {

namespace {

constexpr std::uint64_t kMaxDowntimeMs = 2'000'000;
constexpr std::uint64_t kMaxSeconds = 10ull * 365 * 24 * 3600;   // so that sums and products stay in range
constexpr std::uint32_t kMaxParallel = 100'000;

struct PolicyName { VirtualMachinePolicy policy; std::string_view name; };
constexpr PolicyName kPolicyNames[] = {
    {VirtualMachinePolicy::AlwaysSafe, "AlwaysSafe"},
    {VirtualMachinePolicy::PreferSafe, "PreferSafe"},
    {VirtualMachinePolicy::AlwaysForced, "AlwaysForced"},
    {VirtualMachinePolicy::PreferForced, "PreferForced"},
};

// What a member of an object sets, where it sets something that makes sense.
void set_bool(const Json& object, std::string_view key, bool& out) {
  if (auto* v = find(object, {key}); v && v->is_boolean()) out = v->get<bool>();
}

template <class T>
void set_number(const Json& object, std::string_view key, T& out, std::uint64_t low, std::uint64_t high) {
  auto* v = find(object, {key});
  if (!v || !v->is_number_integer()) return;
  if (!v->is_number_unsigned() && v->get<std::int64_t>() < 0) return;
  auto n = v->get<std::uint64_t>();
  if (n >= low && n <= high) out = static_cast<T>(n);
}

void set_text(const Json& object, std::string_view key, std::string& out) {
  if (auto* v = find(object, {key}); v && v->is_string()) out = v->get<std::string>();
}

std::optional<Quantity> quantity_at(const Json& object, std::string_view key) {
  auto* v = find(object, {key});
  if (!v) return std::nullopt;
  std::string text;
  if (v->is_string()) text = v->get<std::string>();
  else if (v->is_number()) text = v->dump();
  auto q = Quantity::parse(text);
  if (!q.ok() || q->negative()) return std::nullopt;
  return *q;
}

void set_fraction(const Json& object, std::string_view key, double& out, double low, double high) {
  if (auto q = quantity_at(object, key)) {
    double value = static_cast<double>(q->milli_value()) / 1000;
    if (value >= low && value <= high) out = value;
  }
}

Json fraction(double value) { return Quantity::milli(std::llround(value * 1000)).to_string(); }

void apply_stall_detector(const Json& from, StallDetectorConfig& to) {
  std::uint64_t margin = static_cast<std::uint64_t>(std::llround(to.stall_margin * 100));
  set_number(from, "stallMargin", margin, 0, 100);
  to.stall_margin = static_cast<double>(margin) / 100;
  set_fraction(from, "ewmaAlpha", to.ewma_alpha, 0.001, 1);
  set_number(from, "stallProgressTimeout", to.stall_progress_timeout_s, 0, kMaxSeconds);
  set_number(from, "switchoverTimeout", to.switchover_timeout_s, 0, kMaxSeconds);
  set_fraction(from, "precopyPossibleFactor", to.precopy_possible_factor, 0, 1000);
  set_fraction(from, "patienceWindowDecayFactor", to.patience_window_decay_factor, 0, 1);
  set_bool(from, "searchLocalMinima", to.search_local_minima);
  set_fraction(from, "completionTimeoutFactor", to.completion_timeout_factor, 0, 1000);
}

void apply_downtime_tuning(const Json& from, DowntimeTuningConfig& to) {
  set_number(from, "initialMs", to.initial_ms, 1, kMaxDowntimeMs);
  set_number(from, "steps", to.steps, 1, 1'000'000);
  set_number(from, "startAfterIteration", to.start_after_iteration, 1, 1'000'000);
  set_number(from, "cooldownSeconds", to.cooldown_s, 1, 1'000'000);
}

/// The fields that cluster configuration, policies and the effective configuration have in common.
void apply_fields(const Json& from, MigrationConfig& to) {
  set_number(from, "parallelMigrationsPerCluster", to.parallel_migrations_per_cluster, 0, kMaxParallel);
  set_number(from, "parallelOutboundMigrationsPerNode", to.parallel_outbound_migrations_per_node, 0, kMaxParallel);
  if (auto q = quantity_at(from, "bandwidthPerMigration"))
    to.bandwidth_bytes_per_second = static_cast<std::uint64_t>(std::max<std::int64_t>(q->value(), 0));
  set_number(from, "completionTimeoutPerGiB", to.completion_timeout_per_gib_s, 0, kMaxSeconds);
  set_number(from, "progressTimeout", to.progress_timeout_s, 0, kMaxSeconds);
  set_number(from, "utilityVolumesTimeout", to.utility_volumes_timeout_s, 0, kMaxSeconds);
  set_number(from, "maxDowntimeMs", to.max_downtime_ms, 1, kMaxDowntimeMs);
  set_bool(from, "allowAutoConverge", to.allow_auto_converge);
  set_bool(from, "allowPostCopy", to.allow_post_copy);
  if (auto* post = find(from, {"allowPostCopy"}); post && post->is_boolean())
    to.allow_workload_disruption = post->get<bool>();
  set_bool(from, "allowWorkloadDisruption", to.allow_workload_disruption);
  set_bool(from, "unsafeMigrationOverride", to.unsafe_migration_override);
  set_bool(from, "disableTLS", to.disable_tls);
  if (auto* v = find(from, {"matchSELinuxLevelOnMigration"}); v && v->is_boolean())
    to.match_selinux_level = v->get<bool>();
  set_text(from, "nodeDrainTaintKey", to.node_drain_taint_key);
  set_text(from, "network", to.network);
  const Json* experimental = find(from, {"experimental"});
  if (!experimental) return;
  if (auto* v = find(*experimental, {"compression"}); v && (*v == "none" || *v == "zstd"))
    to.compression = v->get<std::string>();
  if (auto* v = find(*experimental, {"stallDetector"}); v && v->is_object()) {
    if (!to.stall_detector) to.stall_detector.emplace();
    apply_stall_detector(*v, *to.stall_detector);
  }
  if (auto* v = find(*experimental, {"downtimeTuning"}); v && v->is_object()) {
    if (!to.downtime_tuning) to.downtime_tuning.emplace();
    apply_downtime_tuning(*v, *to.downtime_tuning);
  }
}

std::optional<std::uint32_t> percent_of(std::string_view text) {
  std::uint32_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value > 99) return std::nullopt;
  return value;
}

/// How many labels of a selector are there; nothing when one is not.
std::optional<std::size_t> matching(const Json* selector, const LabelMap& labels) {
  if (!selector || selector->is_null()) return 0;
  if (!selector->is_object()) return std::nullopt;
  for (auto& [key, value] : selector->items()) {
    auto found = labels.find(key);
    if (!value.is_string() || found == labels.end() || found->second != value.get_ref<const std::string&>())
      return std::nullopt;
  }
  return selector->size();
}

}  // namespace

std::string_view to_string(VirtualMachinePolicy policy) {
  for (auto& p : kPolicyNames)
    if (p.policy == policy) return p.name;
  return "";
}

std::optional<VirtualMachinePolicy> virtual_machine_policy(std::string_view text) {
  for (auto& p : kPolicyNames)
    if (p.name == text) return p.policy;
  return std::nullopt;
}

MigrationConfig cluster_migration_config(const Json& kubevirt) {
  MigrationConfig out;
  if (auto* migrations = find(kubevirt, {"spec", "configuration", "migrations"})) apply_fields(*migrations, out);
  return out;
}

const Json* match_migration_policy(const std::vector<const Json*>& policies, const LabelMap& instance_labels,
                                   const LabelMap& namespace_labels) {
  const Json* best = nullptr;
  std::tuple<std::size_t, std::size_t> best_score;
  std::string best_name;
  for (const Json* policy : policies) {
    if (!policy) continue;
    const Json* selectors = find(*policy, {"spec", "selectors"});
    if (!selectors || !selectors->is_object()) continue;
    auto own = matching(find(*selectors, {"virtualMachineInstanceSelector"}), instance_labels);
    auto space = matching(find(*selectors, {"namespaceSelector"}), namespace_labels);
    if (!own || !space) continue;
    std::tuple score{*own + *space, *own};
    std::string name = string_at(*policy, {"metadata", "name"});
    if (!best || score > best_score || (score == best_score && name < best_name))
      best = policy, best_score = score, best_name = std::move(name);
  }
  return best;
}

MigrationConfig apply_migration_policy(MigrationConfig base, const Json& policy) {
  // What a policy has no field for stays the cluster's, whatever the object says.
  static constexpr std::string_view kFields[] = {
      "allowAutoConverge", "bandwidthPerMigration", "completionTimeoutPerGiB", "maxDowntimeMs",
      "allowPostCopy", "allowWorkloadDisruption", "experimental"};
  if (auto* spec = find(policy, {"spec"}); spec && spec->is_object()) {
    Json known = Json::object();
    for (auto field : kFields)
      if (auto* v = find(*spec, {field})) known[std::string(field)] = *v;
    apply_fields(known, base);
  }
  if (auto* v = find(policy, {"metadata", "annotations", kMaxThrottleAnnotation}); v && v->is_string())
    if (auto percent = percent_of(v->get_ref<const std::string&>())) base.max_throttle_percent = *percent;
  if (auto* v = find(policy, {"metadata", "annotations", kVirtualMachinePolicyAnnotation}); v && v->is_string())
    if (auto named = virtual_machine_policy(v->get_ref<const std::string&>())) base.virtual_machine_policy = *named;
  base.policy_name = string_at(policy, {"metadata", "name"});
  return base;
}

MigrationConfig apply_force(MigrationConfig base, std::optional<bool> force) {
  base.force = force;
  switch (base.virtual_machine_policy) {
    case VirtualMachinePolicy::AlwaysSafe: base.allow_auto_converge = false; break;
    case VirtualMachinePolicy::AlwaysForced: base.allow_auto_converge = true; break;
    case VirtualMachinePolicy::PreferSafe: base.allow_auto_converge = force.value_or(false); break;
    case VirtualMachinePolicy::PreferForced: base.allow_auto_converge = force.value_or(true); break;
    case VirtualMachinePolicy::Unset: base.allow_auto_converge = force.value_or(base.allow_auto_converge); break;
  }
  if (base.max_throttle_percent == 0) base.allow_auto_converge = false;
  return base;
}

std::optional<bool> requested_force(const LabelMap& annotations) {
  auto found = annotations.find(std::string(kForceAnnotation));
  if (found == annotations.end()) return std::nullopt;
  if (found->second == "true") return true;
  if (found->second == "false") return false;
  return std::nullopt;
}

std::vector<std::string> check_migration_policy(const Json& policy) {
  std::vector<std::string> out;
  auto complain = [&](std::string_view key, std::string_view what) {
    out.push_back("metadata.annotations[" + std::string(key) + "]: " + std::string(what));
  };
  if (auto* v = find(policy, {"metadata", "annotations", kMaxThrottleAnnotation}))
    if (!v->is_string() || !percent_of(v->get_ref<const std::string&>()))
      complain(kMaxThrottleAnnotation, "must be a whole number from 0 to 99, the percentage of its processor time "
                                       "that a guest may lose");
  if (auto* v = find(policy, {"metadata", "annotations", kVirtualMachinePolicyAnnotation}))
    if (!v->is_string() || !virtual_machine_policy(v->get_ref<const std::string&>()))
      complain(kVirtualMachinePolicyAnnotation, "must be AlwaysSafe, PreferSafe, AlwaysForced or PreferForced");
  if (auto* e = find(policy, {"spec", "experimental"}); e && find(*e, {"stallDetector"}) && find(*e, {"downtimeTuning"}))
    out.push_back("spec.experimental: stallDetector and downtimeTuning exclude each other");
  return out;
}

Json to_json(const MigrationConfig& c) {
  Json out = {
      {"parallelMigrationsPerCluster", c.parallel_migrations_per_cluster},
      {"parallelOutboundMigrationsPerNode", c.parallel_outbound_migrations_per_node},
      {"bandwidthPerMigration",
       Quantity::of(static_cast<std::int64_t>(std::min<std::uint64_t>(c.bandwidth_bytes_per_second, INT64_MAX)))
           .to_string(true)},
      {"completionTimeoutPerGiB", c.completion_timeout_per_gib_s},
      {"progressTimeout", c.progress_timeout_s},
      {"utilityVolumesTimeout", c.utility_volumes_timeout_s},
      {"maxDowntimeMs", c.max_downtime_ms},
      {"allowAutoConverge", c.allow_auto_converge},
      {"allowPostCopy", c.allow_post_copy},
      {"allowWorkloadDisruption", c.allow_workload_disruption},
      {"unsafeMigrationOverride", c.unsafe_migration_override},
      {"disableTLS", c.disable_tls},
      {"nodeDrainTaintKey", c.node_drain_taint_key},
  };
  if (c.match_selinux_level) out["matchSELinuxLevelOnMigration"] = *c.match_selinux_level;
  if (!c.network.empty()) out["network"] = c.network;
  Json experimental = Json::object();
  if (!c.compression.empty()) experimental["compression"] = c.compression;
  if (auto& s = c.stall_detector)
    experimental["stallDetector"] = {
        {"stallMargin", std::llround(s->stall_margin * 100)},
        {"ewmaAlpha", fraction(s->ewma_alpha)},
        {"stallProgressTimeout", s->stall_progress_timeout_s},
        {"switchoverTimeout", s->switchover_timeout_s},
        {"precopyPossibleFactor", fraction(s->precopy_possible_factor)},
        {"patienceWindowDecayFactor", fraction(s->patience_window_decay_factor)},
        {"searchLocalMinima", s->search_local_minima},
        {"completionTimeoutFactor", fraction(s->completion_timeout_factor)},
    };
  if (auto& d = c.downtime_tuning)
    experimental["downtimeTuning"] = {{"initialMs", d->initial_ms},
                                      {"steps", d->steps},
                                      {"startAfterIteration", d->start_after_iteration},
                                      {"cooldownSeconds", d->cooldown_s}};
  if (!experimental.empty()) out["experimental"] = std::move(experimental);
  return out;
}

std::string format_migration_settings(std::string_view migration_uid, const MigrationConfig& c) {
  Json out = {{"uid", migration_uid}, {"maxThrottlePercent", c.max_throttle_percent}};
  if (c.virtual_machine_policy != VirtualMachinePolicy::Unset)
    out["virtualMachinePolicy"] = to_string(c.virtual_machine_policy);
  if (c.force) out["force"] = *c.force;
  return dump_json(out);
}

MigrationConfig read_migration_config(const Json& configuration, std::string_view settings,
                                      std::string_view migration_uid) {
  MigrationConfig out;
  apply_fields(configuration, out);
  if (settings.size() > 4096) return out;
  auto ours = parse_json(settings, 8);
  if (!ours.ok() || string_at(*ours, {"uid"}) != migration_uid) return out;
  set_number(*ours, "maxThrottlePercent", out.max_throttle_percent, 0, 99);
  if (auto named = virtual_machine_policy(string_at(*ours, {"virtualMachinePolicy"})))
    out.virtual_machine_policy = *named;
  if (auto* v = find(*ours, {"force"}); v && v->is_boolean()) out.force = v->get<bool>();
  if (out.max_throttle_percent == 0) out.allow_auto_converge = false;
  return out;
}

std::uint64_t timeout_size(std::uint64_t memory_bytes, std::uint64_t copied_disk_bytes) {
  constexpr std::uint64_t kGb = 1'000'000'000;
  std::uint64_t sum = memory_bytes > UINT64_MAX - copied_disk_bytes ? UINT64_MAX : memory_bytes + copied_disk_bytes;
  return std::max<std::uint64_t>(1, sum / kGb + (sum % kGb != 0));
}

}  // namespace nodevirt::api
