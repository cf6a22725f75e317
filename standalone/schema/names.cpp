#include "standalone/schema/names.hpp"

#include <cctype>

namespace nodevirt::schema {

namespace {

bool lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool alnum(char c) { return lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

bool is_label(std::string_view t) {
  if (t.empty() || !lower_alnum(t.front()) || !lower_alnum(t.back())) return false;
  for (char c : t)
    if (!lower_alnum(c) && c != '-') return false;
  return true;
}

bool is_subdomain(std::string_view t) {
  for (;;) {
    const auto dot = t.find('.');
    if (!is_label(t.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    t.remove_prefix(dot + 1);
  }
}

/// Letters, digits, '-', '_', '.', alphanumeric at both ends.
bool is_name(std::string_view t) {
  if (t.empty() || !alnum(t.front()) || !alnum(t.back())) return false;
  for (char c : t)
    if (!alnum(c) && c != '-' && c != '_' && c != '.') return false;
  return true;
}

std::string too_long(std::size_t n) { return "must be no more than " + std::to_string(n) + " bytes"; }

constexpr std::string_view kLabel =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr std::string_view kLabel1035 =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
constexpr std::string_view kSubdomain =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr std::string_view kQualified =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr std::string_view kValue =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

}  // namespace

std::string check_dns_label(std::string_view t) {
  if (t.size() > 63) return too_long(63);
  return is_label(t) ? "" : std::string(kLabel);
}

std::string check_dns_label_1035(std::string_view t) {
  if (t.size() > 63) return too_long(63);
  return is_label(t) && t.front() >= 'a' ? "" : std::string(kLabel1035);
}

std::string check_dns_subdomain(std::string_view t) {
  if (t.size() > 253) return too_long(253);
  return is_subdomain(t) ? "" : std::string(kSubdomain);
}

std::string check_path_segment(std::string_view t) {
  if (t.size() > 253) return too_long(253);
  if (t == "." || t == "..") return "may not be '" + std::string(t) + "'";
  for (char c : {'/', '%'})
    if (t.find(c) != std::string_view::npos) return std::string("may not contain '") + c + "'";
  return "";
}

std::string check_qualified_name(std::string_view t) {
  const auto slash = t.find('/');
  if (slash != std::string_view::npos) {
    const auto prefix = t.substr(0, slash);
    t.remove_prefix(slash + 1);
    if (t.find('/') != std::string_view::npos) return "a qualified name must have at most one '/' (e.g. 'example.com/MyName')";
    if (prefix.empty()) return "prefix part must be non-empty";
    if (auto why = check_dns_subdomain(prefix); !why.empty()) return "prefix part " + why;
  }
  if (t.empty()) return "name part must be non-empty";
  if (t.size() > 63) return "name part " + too_long(63);
  return is_name(t) ? "" : std::string(kQualified);
}

std::string check_label_value(std::string_view t) {
  if (t.size() > 63) return too_long(63);
  return t.empty() || is_name(t) ? "" : std::string(kValue);
}

}  // namespace nodevirt::schema
