#include <algorithm>

#include "standalone/apiserver/resources/strategy.hpp"

namespace nodevirt::apiserver {

namespace {
bool alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool label(std::string_view s) {
  return !s.empty() && s.size() <= 63 && alnum(s.front()) && alnum(s.back()) &&
         std::all_of(s.begin(), s.end(), [](char c) { return alnum(c) || c == '-'; });
}
}  // namespace

std::string check_label(std::string_view name) {
  if (label(name)) return "";
  return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', must start and end with "
         "an alphanumeric character, and is at most 63 characters (e.g. 'my-name')";
}

std::string check_subdomain(std::string_view name) {
  bool ok = !name.empty() && name.size() <= 253;
  for (std::size_t at = 0; ok && at <= name.size();) {
    auto dot = std::min(name.find('.', at), name.size());
    auto part = name.substr(at, dot - at);
    ok = !part.empty() && alnum(part.front()) && alnum(part.back()) &&
         std::all_of(part.begin(), part.end(), [](char c) { return alnum(c) || c == '-'; });
    at = dot + 1;
  }
  if (ok) return "";
  return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
         "and end with an alphanumeric character (e.g. 'example.com')";
}

std::string check_path_segment(std::string_view name) {
  if (name.empty() || name == "." || name == "..") return "may not be empty, '.' or '..'";
  if (name.find_first_of("/%") != std::string_view::npos) return "may not contain '/' or '%'";
  return "";
}

std::string Strategy::check_name(std::string_view name) const { return check_subdomain(name); }

}  // namespace nodevirt::apiserver
