#include "standalone/nodes/cidr.hpp"

#include <arpa/inet.h>
#include <charconv>

namespace nodevirt::nodes {

std::string format_address(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255);
}

Result<std::uint32_t> parse_address(std::string_view text) {
  in_addr a{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &a) != 1)
    return Error{Code::InvalidArgument, fmt::format("\"{}\" is not an IPv4 address such as 10.0.0.1", text)};
  return ntohl(a.s_addr);
}

Result<Cidr> Cidr::parse(std::string_view text) {
  Cidr c;
  auto slash = text.find('/');
  NV_TRY(c.base, parse_address(text.substr(0, slash)));
  if (slash == std::string_view::npos) return c;
  std::string_view bits = text.substr(slash + 1);
  auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), c.bits);
  if (error != std::errc{} || end != bits.data() + bits.size() || c.bits < 0 || c.bits > 32)
    return Error{Code::InvalidArgument, fmt::format("\"{}\" is not a range such as 10.233.0.0/24", text)};
  if (c.bits < 32 && (c.base & (c.size() - 1)) != 0 && c.bits > 0)
    return Error{Code::InvalidArgument, fmt::format("\"{}\" has bits set behind its prefix; did you mean {}/{}?", text,
                                                    format_address(c.base & ~(c.size() - 1)), c.bits)};
  return c;
}

bool Cidr::contains(std::uint32_t address) const { return bits == 0 || (address >> (32 - bits)) == (base >> (32 - bits)); }
bool Cidr::overlaps(const Cidr& o) const { return contains(o.base) || o.contains(base); }
std::string Cidr::at(std::uint32_t n) const { return format_address(base + n); }
Cidr Cidr::sub(int sub_bits, std::uint32_t n) const { return Cidr{base + n * (std::uint32_t{1} << (32 - sub_bits)), sub_bits}; }
std::string Cidr::to_string() const { return fmt::format("{}/{}", format_address(base), bits); }

Result<Cidr> choose(const std::vector<Cidr>& candidates, const std::vector<Cidr>& taken) {
  for (const Cidr& c : candidates) {
    bool free = std::none_of(taken.begin(), taken.end(), [&](const Cidr& t) { return t.overlaps(c); });
    if (free) return c;
  }
  return Error{Code::ResourceExhausted, "every range that would do is in use on this machine"};
}

}  // namespace nodevirt::nodes
