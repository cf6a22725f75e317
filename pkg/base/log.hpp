// One structured log line format for all programs, on stderr:
//   2026-01-02T03:04:05.678901Z INFO virt-handler synced vmi default/vm-demo
// Thread-safe. An error is logged once, where it stops.
#pragma once
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace nodevirt::log {

enum class Level { Debug, Info, Warning, Error };

/// `program` stands in each line. Level from NODEVIRT_LOG (debug|info|warning|error), info otherwise.
void init(std::string_view program);
bool enabled(Level level);
/// Control characters in `message` (it may carry a guest's or user's bytes) are escaped.
void write(Level level, std::string_view message);

template <class... A> void debug(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::Debug)) write(Level::Debug, fmt::format(f, std::forward<A>(a)...));
}
template <class... A> void info(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::Info)) write(Level::Info, fmt::format(f, std::forward<A>(a)...));
}
template <class... A> void warning(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::Warning)) write(Level::Warning, fmt::format(f, std::forward<A>(a)...));
}
template <class... A> void error(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::Error)) write(Level::Error, fmt::format(f, std::forward<A>(a)...));
}

}  // namespace nodevirt::log
