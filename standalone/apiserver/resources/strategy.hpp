// What is particular to one kind when it is written: a handful of hooks, everything else is data.
// Hooks work on the stored form of an object; they change it or complain, and never do I/O.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/request_info.hpp"

namespace nodevirt::apiserver {

struct ResourceInfo;
class Store;
class Registry;
struct Options;

/// What a hook may look at.
struct StrategyContext {
  const Store& store;
  const Registry& registry;
  const Options& options;
  const UserInfo& user;
  Clock::WallTime now;
  bool dry_run = false;
  std::vector<std::string>* warnings = nullptr;   ///< told to the person, where there is one
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  /// After defaulting, before admission and validation.
  virtual Result<void> prepare_create(StrategyContext&, Json& /*object*/) const { return {}; }
  /// `object` already has its protected metadata, and its status (or, for /status, everything else), from `old`.
  virtual Result<void> prepare_update(StrategyContext&, Json& /*object*/, const Json& /*old*/,
                                      const std::string& /*subresource*/) const { return {}; }
  virtual std::vector<Cause> validate(StrategyContext&, const Json& /*object*/, const Json* /*old*/) const { return {}; }
  /// The members outside metadata and status whose change counts up metadata.generation; kinds with
  /// no generation answer false.
  virtual bool has_generation() const { return true; }
  /// Seconds of grace for a deletion that asks for `requested` (or nothing, -1); 0 deletes at once.
  virtual std::int64_t grace_seconds(const Json& /*object*/, std::int64_t /*requested*/) const { return 0; }
  /// Whether PUT without a resourceVersion overwrites.
  virtual bool unconditional_update() const { return true; }
  /// Last, with nothing between it and the commit: what must be unique over all objects is chosen and
  /// checked here against Store::each_head. `old` is null for a create.
  virtual Result<void> before_commit(StrategyContext&, Json& /*object*/, const Json* /*old*/) const { return {}; }
  /// What a name may be: "" or why not.
  virtual std::string check_name(std::string_view name) const;
  virtual std::string default_propagation() const { return "Background"; }
};

const Strategy& strategy_of(const ResourceInfo& info);

/// RFC 1123 names; "" or what is wrong.
std::string check_subdomain(std::string_view name);
std::string check_label(std::string_view name);
std::string check_path_segment(std::string_view name);

}  // namespace nodevirt::apiserver
