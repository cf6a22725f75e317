// The strategies of the kinds that have one of their own.
#pragma once
#include <map>
#include <string>

#include "standalone/apiserver/resources/strategy.hpp"

namespace nodevirt::apiserver {

/// Nothing particular.
class PlainStrategy : public Strategy {
 public:
  explicit PlainStrategy(bool generation) : generation_(generation) {}
  bool has_generation() const override { return generation_; }
 private:
  bool generation_;
};

class CustomStrategy final : public Strategy {
 public:
  bool unconditional_update() const override { return false; }
};

/// Names that are one path segment and may hold ':' (RBAC).
class PathNameStrategy final : public PlainStrategy {
 public:
  PathNameStrategy() : PlainStrategy(false) {}
  std::string check_name(std::string_view name) const override { return check_path_segment(name); }
  Result<void> prepare_update(StrategyContext&, Json& object, const Json& old, const std::string&) const override;
  std::vector<Cause> validate(StrategyContext&, const Json& object, const Json* old) const override;
};

/// By store id.
std::map<std::string, const Strategy*> builtin_strategies();
const Strategy& pod_strategy();
const Strategy& service_strategy();
const Strategy& definition_strategy();

}  // namespace nodevirt::apiserver
