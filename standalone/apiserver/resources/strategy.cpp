#include "standalone/apiserver/resources/strategy.hpp"

#include <map>

#include "standalone/apiserver/resources/builtin_strategies.hpp"
#include "standalone/apiserver/resources/resource_info.hpp"

namespace nodevirt::apiserver {

const Strategy& strategy_of(const ResourceInfo& info) {
  static const std::map<std::string, const Strategy*> special = builtin_strategies();
  static const PlainStrategy plain(false);
  static const CustomStrategy custom;
  if (info.custom) return custom;
  auto it = special.find(info.id);
  return it == special.end() ? static_cast<const Strategy&>(plain) : *it->second;
}

}  // namespace nodevirt::apiserver
