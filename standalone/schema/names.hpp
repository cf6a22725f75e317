// Syntax of names, label keys and values, with Kubernetes' complaints about them.
#pragma once
#include <string>
#include <string_view>

namespace nodevirt::schema {

/// Each returns an empty string when the text is fine, else what it must be.
std::string check_dns_label(std::string_view text);        ///< RFC 1123 label, up to 63
std::string check_dns_label_1035(std::string_view text);   ///< starts with a letter (services)
std::string check_dns_subdomain(std::string_view text);    ///< up to 253
std::string check_path_segment(std::string_view text);     ///< no "/", "%", not "." or ".."
std::string check_qualified_name(std::string_view text);   ///< [prefix/]name: label and annotation keys
std::string check_label_value(std::string_view text);

}  // namespace nodevirt::schema
