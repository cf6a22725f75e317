#include "api/quantity.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace nodevirt::api {

namespace {

constexpr __int128 kNano = 1000000000;
// Kubernetes caps magnitudes at 2^63 - 1 whole units.
constexpr __int128 kMax = __int128(0x7fffffffffffffffLL) * kNano;

struct Suffix {
  std::string_view text;
  __int128 nano;
};

constexpr __int128 pow_of(__int128 base, int n) {
  __int128 r = 1;
  while (n-- > 0) r *= base;
  return r;
}

constexpr std::array<Suffix, 16> kSuffixes = {{
    {"", kNano}, {"n", 1}, {"u", 1000}, {"m", 1000000},
    {"k", kNano * 1000}, {"M", kNano * pow_of(1000, 2)}, {"G", kNano * pow_of(1000, 3)},
    {"T", kNano * pow_of(1000, 4)}, {"P", kNano * pow_of(1000, 5)}, {"E", kNano * pow_of(1000, 6)},
    {"Ki", kNano * 1024}, {"Mi", kNano * pow_of(1024, 2)}, {"Gi", kNano * pow_of(1024, 3)},
    {"Ti", kNano * pow_of(1024, 4)}, {"Pi", kNano * pow_of(1024, 5)}, {"Ei", kNano * pow_of(1024, 6)},
}};

__int128 ceil_div(__int128 a, __int128 b) { return a >= 0 ? (a + b - 1) / b : a / b; }

std::string digits_of(__int128 v) {
  if (v == 0) return "0";
  bool negative = v < 0;
  if (negative) v = -v;
  std::string s;
  for (; v > 0; v /= 10) s.insert(s.begin(), char('0' + int(v % 10)));
  return negative ? "-" + s : s;
}

// mantissa * 10^-decimals * scale, rounded up in magnitude and capped.
__int128 scaled(__int128 mantissa, int decimals, __int128 scale) {
  for (; decimals > 0 && scale % 10 == 0; --decimals) scale /= 10;
  if (mantissa != 0 && scale > kMax / mantissa * pow_of(10, std::min(decimals, 18))) return kMax;
  __int128 product = mantissa * scale;
  return std::min(ceil_div(product, pow_of(10, decimals)), kMax);
}

}  // namespace

Result<Quantity> Quantity::parse(std::string_view text) {
  auto bad = [&] {
    return Error(Code::InvalidArgument, "Invalid",
                 fmt::format("\"{}\" is not a quantity; a number with an optional suffix such as 64M, 1.5Gi, 100m is expected",
                             text.substr(0, 64)));
  };
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  __int128 mantissa = 0;
  int decimals = 0, digits = 0;
  bool point = false;
  while (!rest.empty() && ((rest[0] >= '0' && rest[0] <= '9') || (rest[0] == '.' && !point))) {
    if (rest[0] == '.') point = true;
    else {
      ++digits;
      // 18 significant digits hold everything up to the cap; further decimals round up, further wholes cap.
      if (mantissa < pow_of(10, 18)) {
        mantissa = mantissa * 10 + (rest[0] - '0');
        if (point) ++decimals;
      } else if (!point) {
        mantissa = kMax;
      }
    }
    rest.remove_prefix(1);
  }
  if (digits == 0 || text.size() > 64) return bad();
  __int128 nano = 0;
  if (rest.size() >= 2 && (rest[0] == 'e' || rest[0] == 'E')) {
    std::string_view e = rest.substr(1);
    bool down = e[0] == '-';
    if (e[0] == '-' || e[0] == '+') e.remove_prefix(1);
    if (e.empty() || e.size() > 2) return bad();
    int exponent = 0;
    for (char c : e) {
      if (c < '0' || c > '9') return bad();
      exponent = exponent * 10 + (c - '0');
    }
    if (down) decimals += exponent;
    if (decimals > 36) nano = mantissa ? 1 : 0;
    else nano = !down && exponent > 18 ? (mantissa ? kMax : 0) : scaled(mantissa, decimals, down ? kNano : kNano * pow_of(10, exponent));
  } else {
    auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(), [&](const Suffix& s) { return s.text == rest; });
    if (suffix == kSuffixes.end()) return bad();
    nano = scaled(mantissa, decimals, suffix->nano);
  }
  Quantity q;
  q.nano_ = negative ? -nano : nano;
  return q;
}

std::int64_t Quantity::value() const { return static_cast<std::int64_t>(ceil_div(nano_, kNano)); }
std::int64_t Quantity::milli_value() const {
  __int128 v = ceil_div(nano_, 1000000);
  constexpr __int128 limit = 0x7fffffffffffffffLL;
  return static_cast<std::int64_t>(std::clamp(v, -limit, limit));
}

std::string Quantity::to_string(bool binary) const {
  if (nano_ == 0) return "0";
  const Suffix* best = nullptr;
  for (const Suffix& s : kSuffixes) {
    bool is_binary = s.text.size() == 2;
    if (nano_ % s.nano != 0) continue;
    if (binary ? (!is_binary && !s.text.empty() && s.nano > kNano) : is_binary) continue;
    if (!best || s.nano > best->nano) best = &s;
  }
  return digits_of(nano_ / best->nano) + std::string(best->text);
}

}  // namespace nodevirt::api
