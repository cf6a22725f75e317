#include <unordered_set>

#include <fmt/format.h>

#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

std::string to_string(const FieldError& e) {
  return (e.path.empty() ? std::string("<nil>") : e.path) + ": " + e.message;
}

std::string invalid_message(std::string_view kind, std::string_view group, std::string_view name,
                            const std::vector<FieldError>& errors) {
  std::string out = fmt::format("{}{}{} \"{}\" is invalid", kind, group.empty() ? "" : ".", group, name);
  std::vector<std::string> lines;
  std::unordered_set<std::string> seen;
  for (const auto& e : errors)
    if (auto line = to_string(e); seen.insert(line).second) lines.push_back(std::move(line));
  if (lines.size() == 1) return out + ": " + lines.front();
  if (!lines.empty()) out += fmt::format(": [{}]", fmt::join(lines, ", "));
  return out;
}

Json causes(const std::vector<FieldError>& errors) {
  Json out = Json::array();
  for (const auto& e : errors) {
    Json cause = Json::object();
    cause["reason"] = e.type;
    cause["message"] = e.message;
    cause["field"] = e.path.empty() ? "<nil>" : e.path;
    out.push_back(std::move(cause));
  }
  return out;
}

}  // namespace nodevirt::schema
