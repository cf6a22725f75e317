#include "virt-handler/instances/conditions.hpp"

namespace nodevirt::virt_handler {

void set_condition(Json& conditions, const ConditionText& wanted, Clock::WallTime now) {
  if (!conditions.is_array()) conditions = Json::array();
  Json* found = nullptr;
  for (Json& item : conditions)
    if (string_at(item, {"type"}) == wanted.type) found = &item;
  if (!found) {
    conditions.push_back(Json{{"type", wanted.type}});
    found = &conditions.back();
  }
  Json& item = *found;
  if (string_at(item, {"status"}) != wanted.status || !item.contains("lastTransitionTime"))
    item["lastTransitionTime"] = format_time(now);
  item["status"] = wanted.status;
  for (auto [key, text] : {std::pair{"reason", &wanted.reason}, std::pair{"message", &wanted.message}}) {
    if (text->empty()) item.erase(key);
    else item[key] = *text;
  }
}

void remove_condition(Json& conditions, std::string_view type) {
  if (!conditions.is_array()) return;
  for (std::size_t i = conditions.size(); i-- > 0;)
    if (string_at(conditions[i], {"type"}) == type) conditions.erase(i);
}

}  // namespace nodevirt::virt_handler
