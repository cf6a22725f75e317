#include <arpa/inet.h>

#include <re2/re2.h>

#include "pkg/base/clock.hpp"
#include "standalone/schema/node.hpp"

namespace nodevirt::schema {

namespace {

bool matches(std::string_view text, const re2::RE2& pattern) {
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

bool is_ip(std::string_view text, int family) {
  if (text.size() > 64) return false;
  unsigned char buffer[16];
  return inet_pton(family, std::string(text).c_str(), buffer) == 1;
}

bool is_cidr(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const auto host = text.substr(0, slash), bits = text.substr(slash + 1);
  if (bits.empty() || bits.size() > 3 || bits.find_first_not_of("0123456789") != std::string_view::npos) return false;
  const int n = std::stoi(std::string(bits));
  return (is_ip(host, AF_INET) && n <= 32) || (is_ip(host, AF_INET6) && n <= 128);
}

bool is_base64(std::string_view s) {
  std::string compact;
  for (char c : s)
    if (c != '\n' && c != '\r') compact += c;
  if (compact.size() % 4) return false;
  std::size_t end = compact.size();
  for (int i = 0; i < 2 && end && compact[end - 1] == '='; ++i) --end;
  for (std::size_t i = 0; i < end; ++i) {
    const char c = compact[i];
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/')) return false;
  }
  return true;
}

}  // namespace

bool matches_format(Format format, std::string_view text) {
  switch (format) {
    case Format::DateTime: return text.size() <= 64 && parse_time(text).ok();
    case Format::Date: {
      static const re2::RE2 re("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])");
      return matches(text, re);
    }
    case Format::Duration: {
      static const re2::RE2 re("[-+]?(0|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|ms|s|m|h))+|[0-9]+ ?(ns|us|ms|s|sec|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)");
      return text.size() <= 256 && matches(text, re);
    }
    case Format::Ipv4: return is_ip(text, AF_INET);
    case Format::Ipv6: return is_ip(text, AF_INET6);
    case Format::Ip: return is_ip(text, AF_INET) || is_ip(text, AF_INET6);
    case Format::Cidr: return is_cidr(text);
    case Format::Mac: {
      static const re2::RE2 re("(?i)([0-9a-f]{2}([:-]))([0-9a-f]{2}[:-]){4}([0-9a-f]{2})|([0-9a-f]{4}\\.){2}[0-9a-f]{4}|([0-9a-f]{2}[:-]){7}[0-9a-f]{2}");
      return text.size() <= 64 && matches(text, re);
    }
    case Format::Uuid: {
      static const re2::RE2 re("(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}");
      return text.size() <= 64 && matches(text, re);
    }
    case Format::Byte: return is_base64(text);
    case Format::Hostname: {
      static const re2::RE2 re("(?i)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*\\.?");
      return text.size() <= 255 && matches(text, re);
    }
    case Format::Email: {
      static const re2::RE2 re("[^@\\s]+@[^@\\s]+");
      return text.size() <= 320 && matches(text, re);
    }
    case Format::Uri: {
      static const re2::RE2 re("[A-Za-z][-+.A-Za-z0-9]*:\\S*|/\\S*");
      return text.size() <= 8192 && matches(text, re);
    }
    default: return true;
  }
}

}  // namespace nodevirt::schema
