// The third error lane: broken invariants. Never for what the outside world can cause.
#pragma once

namespace nodevirt::detail {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}

/// Aborts with its location when `cond` is false, in every build.
#define NV_CHECK(cond) \
  do { if (!(cond)) ::nodevirt::detail::check_failed(#cond, __FILE__, __LINE__); } while (0)
