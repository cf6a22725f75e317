#include <fmt/format.h>

#include "virt-api/admission/rules.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::int64_t kLeastMemory = 1000000;

std::optional<api::Quantity> amount(const api::ResourceList& list, const std::string& name) {
  auto it = list.find(name);
  return it == list.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace

void memory(const RuleInput& in, Causes& out) {
  const auto& d = in.spec.domain;
  auto resources = in.path + ".domain.resources";
  auto request = amount(d.resources.requests, "memory"), limit = amount(d.resources.limits, "memory");
  auto guest = d.memory ? d.memory->guest : std::nullopt;
  if (!request && !limit && !guest) {
    out.push_back({resources + ".requests.memory",
                   fmt::format("no memory is asked for; set it, {}.limits.memory or {}.domain.memory.guest", resources, in.path), Cause::Type::Required});
    return;
  }
  auto check = [&](const std::optional<api::Quantity>& q, const std::string& field) {
    if (q && q->value() < kLeastMemory) out.push_back({field, fmt::format("{} is too small; at least 1M is needed", q->to_string())});
  };
  check(request, resources + ".requests.memory");
  check(limit, resources + ".limits.memory");
  check(guest, in.path + ".domain.memory.guest");
  if (request && limit && *request > *limit)
    out.push_back({resources + ".requests.memory", fmt::format("{} is more than limits.memory, {}", request->to_string(), limit->to_string())});
  if (guest && limit && *guest > *limit)
    out.push_back({in.path + ".domain.memory.guest", fmt::format("{} is more than resources.limits.memory, {}", guest->to_string(), limit->to_string())});
}

void cpu_resources(const RuleInput& in, Causes& out) {
  auto resources = in.path + ".domain.resources";
  auto request = amount(in.spec.domain.resources.requests, "cpu"), limit = amount(in.spec.domain.resources.limits, "cpu");
  if (request && request->negative()) out.push_back({resources + ".requests.cpu", "must not be negative"});
  if (limit && limit->negative()) out.push_back({resources + ".limits.cpu", "must not be negative"});
  if (request && limit && *request > *limit)
    out.push_back({resources + ".requests.cpu", fmt::format("{} is more than limits.cpu, {}", request->to_string(), limit->to_string())});
  for (const auto* list : {&in.spec.domain.resources.requests, &in.spec.domain.resources.limits}) {
    auto side = list == &in.spec.domain.resources.requests ? "requests" : "limits";
    for (const auto& [name, q] : *list) {
      auto field = fmt::format("{}.{}.{}", resources, side, name);
      if (name.starts_with("hugepages-"))
        out.push_back({field, "hugepages are not supported by this version of Nodevirt", Cause::Type::NotSupported});
      else if (q.negative() && name != "cpu" && name != "memory") out.push_back({field, "must not be negative"});
    }
  }
}

void cpu_topology(const RuleInput& in, Causes& out) {
  const auto& cpu = in.spec.domain.cpu;
  auto field = in.path + ".domain.cpu";
  if (cpu) {
    std::uint64_t all = 1;
    for (auto n : {cpu->cores, cpu->sockets, cpu->threads}) all *= std::max<std::uint64_t>(n, 1);
    for (auto [n, name] : {std::pair{cpu->cores, "cores"}, {cpu->sockets, "sockets"}, {cpu->threads, "threads"}})
      if (n > 512) out.push_back({field + "." + name, "at most 512 are supported"});
    if (all > 512) out.push_back({field, fmt::format("sockets x cores x threads make {} processors; at most 512 are supported", all)});
    if (cpu->model.size() > 128 || cpu->model.find_first_of(" \t\r\n<>&'\"") != std::string::npos)
      out.push_back({field + ".model", "must be host-model, host-passthrough or the name of a CPU model"});
    for (std::size_t i = 0; i < cpu->features.size(); ++i) {
      const auto& f = cpu->features[i];
      auto at = fmt::format("{}.features[{}]", field, i);
      if (f.name.empty()) out.push_back({at + ".name", "a CPU feature needs a name", Cause::Type::Required});
      if (!one_of(f.policy, {"", "force", "require", "optional", "disable", "forbid"}))
        out.push_back({at + ".policy", "must be force, require, optional, disable or forbid", Cause::Type::NotSupported});
    }
  }
}

void machine(const RuleInput& in, Causes& out) {
  const auto& type = in.spec.domain.machine_type;
  bool known = type.empty() || type == "q35" || type.starts_with("pc-q35-");
  if (!known || type.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.+_") != std::string::npos)
    out.push_back({in.path + ".domain.machine.type", fmt::format("\"{}\" is not supported; supported are q35 and pc-q35-*", type), Cause::Type::NotSupported});
  if (!one_of(in.spec.architecture, {"", "amd64"}))
    out.push_back({in.path + ".architecture", fmt::format("\"{}\" is not supported; supported is amd64", in.spec.architecture), Cause::Type::NotSupported});
}

void firmware(const RuleInput& in, Causes& out) {
  const auto& f = in.spec.domain.firmware;
  if (!f) return;
  auto field = in.path + ".domain.firmware";
  if (!f->uuid.empty()) {
    bool sound = f->uuid.size() == 36;
    for (std::size_t i = 0; sound && i < 36; ++i) {
      bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      sound = dash ? f->uuid[i] == '-' : std::isxdigit(static_cast<unsigned char>(f->uuid[i])) != 0;
    }
    if (!sound) out.push_back({field + ".uuid", "must be a UUID, like 5d307ca9-b3ef-428c-8861-06e72d69f223"});
  }
  bool printable = std::all_of(f->serial.begin(), f->serial.end(), [](unsigned char c) { return c >= ' ' && c < 0x7f; });
  if (f->serial.size() > 256 || !printable) out.push_back({field + ".serial", "must be printable ASCII, at most 256 characters"});
}

void clock(const RuleInput& in, Causes& out) {
  const auto& c = in.spec.domain.clock;
  if (!c) return;
  auto field = in.path + ".domain.clock";
  if (!c->timezone.empty() && (c->utc || c->utc_offset_seconds))
    out.push_back({field, "has both utc and timezone; keep one"});
  bool plain = c->timezone.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/+-") == std::string::npos;
  if (c->timezone.size() > 64 || !plain) out.push_back({field + ".timezone", "must be the name of a time zone, like Europe/Berlin"});
  for (const auto& [name, timer] : c->timers) {
    auto at = fmt::format("{}.timer.{}", field, name);
    if (!one_of(timer.tick_policy, {"", "delay", "catchup", "merge", "discard"}))
      out.push_back({at + ".tickPolicy", "must be delay, catchup, merge or discard", Cause::Type::NotSupported});
    if (!one_of(timer.track, {"", "guest", "wall"})) out.push_back({at + ".track", "must be guest or wall", Cause::Type::NotSupported});
  }
}

void io_threads(const RuleInput& in, Causes& out) {
  if (!one_of(in.spec.domain.io_threads_policy, {"", "shared", "auto"}))
    out.push_back({in.path + ".domain.ioThreadsPolicy", "must be shared or auto", Cause::Type::NotSupported});
}

}  // namespace nodevirt::virt_api
