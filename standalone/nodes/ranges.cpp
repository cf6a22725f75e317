#include "standalone/nodes/network.hpp"

#include "pkg/base/process.hpp"

namespace nodevirt::nodes {

std::vector<Cidr> ranges_in_use(const Json& routes, const Json& addresses, const std::string& except_bridge) {
  std::vector<Cidr> out;
  if (routes.is_array())
    for (const Json& r : routes) {
      std::string dst = string_at(r, {"dst"});
      if (dst == "default" || string_at(r, {"dev"}) == except_bridge || string_at(r, {"type"}) == "multicast") continue;
      if (auto c = Cidr::parse(dst); c.ok() && c->bits > 0) out.push_back(*c);
    }
  if (addresses.is_array())
    for (const Json& link : addresses) {
      const Json* info = find(link, {"addr_info"});
      if (!info || !info->is_array() || string_at(link, {"ifname"}) == except_bridge) continue;
      for (const Json& a : *info)
        if (auto c = Cidr::parse(string_at(a, {"local"})); c.ok()) out.push_back(*c);
    }
  return out;
}

std::string range_of_another(const Json& routes, const Ranges& ours, const std::string& our_bridge) {
  if (!routes.is_array()) return "";
  for (const Json& r : routes) {
    const std::string dev = string_at(r, {"dev"});
    auto theirs = Cidr::parse(string_at(r, {"dst"}));
    if (!dev.starts_with("nvbr") || dev == our_bridge || !theirs.ok()) continue;
    for (const Cidr& mine : {ours.nodes, ours.pods, ours.services})
      if (mine.overlaps(*theirs)) return fmt::format("{} ({})", mine.to_string(), dev);
  }
  return "";
}

namespace {

Result<Json> all_routes() {
  NV_TRY(std::string routes, check_output(Command{.argv = {"ip", "-j", "-4", "route", "show", "table", "all"}}));
  return parse_json(routes.empty() ? "[]" : routes);
}

}  // namespace

Result<std::string> range_of_another(const Ranges& ours, const std::string& our_bridge) {
  NV_TRY(Json routes, all_routes());
  return range_of_another(routes, ours, our_bridge);
}

Result<std::vector<Cidr>> taken_ranges(const std::string& except_bridge) {
  NV_TRY(Json r, all_routes());
  NV_TRY(std::string addresses, check_output(Command{.argv = {"ip", "-j", "-4", "address"}}));
  NV_TRY(Json a, parse_json(addresses.empty() ? "[]" : addresses));
  return ranges_in_use(r, a, except_bridge);
}

Result<Ranges> choose_ranges(const WantedRanges& wanted, const std::vector<Cidr>& taken) {
  auto one = [&](std::string_view flag, const std::string& text, std::uint32_t base, std::uint32_t step, int bits, int count,
                 std::vector<Cidr> more) -> Result<Cidr> {
    std::vector<Cidr> used = taken;
    used.insert(used.end(), more.begin(), more.end());
    if (!text.empty()) {
      auto c = Cidr::parse(text);
      if (!c.ok()) return c.error().with_context(flag);
      if (c->bits > bits)
        return Error{Code::InvalidArgument, fmt::format("{}: {} is too small, at least a /{} is needed", flag, text, bits)};
      for (const Cidr& u : used)
        if (u.overlaps(*c)) return Error{Code::AlreadyExists, fmt::format("{}: {} overlaps {}, which is in use", flag, text, u.to_string())};
      return *c;
    }
    std::vector<Cidr> candidates;
    for (int i = 0; i < count; ++i) candidates.push_back(Cidr{base + static_cast<std::uint32_t>(i) * step, bits});
    auto c = choose(candidates, used);
    if (!c.ok()) return c.error().with_context(fmt::format("{}; name one with {}", c.error().message, flag));
    return c;
  };
  Ranges r;
  // 10.233.N.0/24, 10.(234+N).0.0/16, 10.(96+N).0.0/16
  NV_TRY(r.nodes, one("--node-cidr", wanted.nodes, 0x0ae90000, 1u << 8, 24, 256, {}));
  NV_TRY(r.pods, one("--pod-cidr", wanted.pods, 0x0aea0000, 1u << 16, 16, 22, {r.nodes}));
  NV_TRY(r.services, one("--service-cidr", wanted.services, 0x0a600000, 1u << 16, 16, 128, {r.nodes, r.pods}));
  return r;
}

}  // namespace nodevirt::nodes
