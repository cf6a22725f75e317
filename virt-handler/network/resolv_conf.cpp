#include "virt-handler/network/resolv_conf.hpp"

#include <arpa/inet.h>

namespace nodevirt::virt_handler {
namespace {

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < line.size();) {
    std::size_t begin = line.find_first_not_of(" \t\r", at);
    if (begin == std::string_view::npos) break;
    std::size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
    out.emplace_back(line.substr(begin, end - begin));
    at = end;
  }
  return out;
}

bool is_domain(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == std::string_view::npos;
}

}  // namespace

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf out;
  std::vector<std::string> v6;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    std::vector<std::string> line = words(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() < 2) continue;
    if (line[0] == "nameserver") {
      in_addr v4{};
      in6_addr six{};
      if (inet_pton(AF_INET, line[1].c_str(), &v4) == 1) {
        if ((ntohl(v4.s_addr) >> 24) != 127 && out.servers.size() < 3) out.servers.push_back(line[1]);
      } else if (inet_pton(AF_INET6, line[1].c_str(), &six) == 1 && line[1] != "::1" && v6.size() < 3) {
        v6.push_back(line[1]);
      }
    } else if (line[0] == "search" || line[0] == "domain") {
      out.search.clear();
      for (std::size_t i = 1; i < line.size() && out.search.size() < 32; ++i)
        if (is_domain(line[i]) && line[i] != ".") out.search.push_back(line[i]);
    }
  }
  for (std::string& server : v6)
    if (out.servers.size() < 3) out.servers.push_back(std::move(server));
  return out;
}

}  // namespace nodevirt::virt_handler
