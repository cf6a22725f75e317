// Kubernetes quantities: "64M", "1.5Gi", "100m", "1e3".
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::api {

/// Exact: a number of nano-units as a 128-bit integer. Suffixes n u m "" k M G T P E, Ki Mi Gi Ti Pi Ei, e/E exponents.
class Quantity {
 public:
  Quantity() = default;
  static Quantity of(std::int64_t units) { Quantity q; q.nano_ = __int128(units) * 1000000000; return q; }
  static Quantity milli(std::int64_t thousandths) { Quantity q; q.nano_ = __int128(thousandths) * 1000000; return q; }
  /// InvalidArgument with what a quantity looks like; magnitudes above 2^63 are capped as in Kubernetes.
  static Result<Quantity> parse(std::string_view text);
  std::int64_t value() const;         ///< whole units, rounded up
  std::int64_t milli_value() const;   ///< thousandths, rounded up
  bool negative() const { return nano_ < 0; }
  bool zero() const { return nano_ == 0; }
  Quantity& operator+=(const Quantity& o) { nano_ += o.nano_; return *this; }
  Quantity& operator-=(const Quantity& o) { nano_ -= o.nano_; return *this; }
  friend bool operator==(const Quantity&, const Quantity&) = default;
  friend auto operator<=>(const Quantity& a, const Quantity& b) { return a.nano_ <=> b.nano_; }
  /// Canonical: the largest binary suffix that is exact when `binary`, else decimal.
  std::string to_string(bool binary = false) const;

 private:
  __int128 nano_ = 0;
};

}  // namespace nodevirt::api
