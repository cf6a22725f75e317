// IPv4 ranges.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::nodes {

struct Cidr {
  std::uint32_t base = 0;   ///< host byte order, host bits zero
  int bits = 32;

  /// "10.233.0.0/24"; a bare address is a /32. Host bits that are set are an error.
  static Result<Cidr> parse(std::string_view text);
  std::uint32_t size() const { return bits == 0 ? 0xffffffffu : std::uint32_t{1} << (32 - bits); }
  bool overlaps(const Cidr& o) const;
  bool contains(std::uint32_t address) const;
  /// The n-th address of the range.
  std::string at(std::uint32_t n) const;
  /// The n-th range of `sub_bits` inside this one.
  Cidr sub(int sub_bits, std::uint32_t n) const;
  std::string to_string() const;
  friend bool operator==(const Cidr&, const Cidr&) = default;
};

std::string format_address(std::uint32_t address);
Result<std::uint32_t> parse_address(std::string_view text);

/// The first of `candidates` that touches none of `taken`.
Result<Cidr> choose(const std::vector<Cidr>& candidates, const std::vector<Cidr>& taken);

}  // namespace nodevirt::nodes
