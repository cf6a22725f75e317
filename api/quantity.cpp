#include "api/quantity.hpp"

#include <algorithm>
#include <array>

#include <boost/multiprecision/cpp_int.hpp>
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

// What 64 characters can say, with room for the largest suffix: nothing overflows before it is capped.
using Wide = boost::multiprecision::int512_t;

Wide wide_pow10(int n) { return boost::multiprecision::pow(Wide(10), static_cast<unsigned>(n)); }

// mantissa * scale / 10^decimals in nano-units, rounded up and capped.
__int128 scaled(const Wide& mantissa, const Wide& scale, int decimals) {
  Wide divisor = wide_pow10(decimals);
  Wide nano = (mantissa * scale + divisor - 1) / divisor;
  return nano > Wide(kMax) ? kMax : static_cast<__int128>(nano);
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
  if (text.size() > 64) return bad();
  std::string digits;
  int decimals = 0;
  bool point = false, any = false;
  for (; !rest.empty() && ((rest[0] >= '0' && rest[0] <= '9') || (rest[0] == '.' && !point)); rest.remove_prefix(1)) {
    if (rest[0] == '.') {
      point = true;
      continue;
    }
    any = true;
    if (point) ++decimals;
    if (rest[0] != '0' || !digits.empty()) digits += rest[0];  // a leading zero would mean octal
  }
  if (!any) return bad();
  Wide mantissa = digits.empty() ? Wide(0) : Wide(digits);
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
    exponent = std::min(exponent, 80);  // beyond it all is 1n or the cap
    nano = down ? scaled(mantissa, Wide(kNano), decimals + exponent) : scaled(mantissa * wide_pow10(exponent), Wide(kNano), decimals);
  } else {
    auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(), [&](const Suffix& s) { return s.text == rest; });
    if (suffix == kSuffixes.end()) return bad();
    nano = scaled(mantissa, Wide(suffix->nano), decimals);
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
