#include "pkg/base/log.hpp"

#include <atomic>
#include <cstdlib>
#include <unistd.h>

#include "pkg/base/clock.hpp"

namespace nodevirt::log {

namespace {

std::atomic<int> threshold{static_cast<int>(Level::Info)};
std::string& program() {
  static auto* name = new std::string("nodevirt");
  return *name;
}

const char* name_of(Level level) {
  switch (level) {
    case Level::Debug: return "DEBUG";
    case Level::Info: return "INFO";
    case Level::Warning: return "WARNING";
    case Level::Error: break;
  }
  return "ERROR";
}

}  // namespace

void init(std::string_view name) {
  program() = name;
  if (const char* level = std::getenv("NODEVIRT_LOG")) {
    std::string_view text = level;
    if (text == "debug") threshold = static_cast<int>(Level::Debug);
    else if (text == "warning") threshold = static_cast<int>(Level::Warning);
    else if (text == "error") threshold = static_cast<int>(Level::Error);
  }
}

bool enabled(Level level) { return static_cast<int>(level) >= threshold.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message) {
  std::string line = fmt::format("{} {} {} ", format_micro_time(system_clock().wall()), name_of(level), program());
  for (char c : message) {
    auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) line += fmt::format("\\x{:02x}", u);
    else line += c;
  }
  line += '\n';
  // One write, so that lines of several threads and processes stay whole.
  ssize_t ignored = ::write(STDERR_FILENO, line.data(), line.size());
  (void)ignored;
}

}  // namespace nodevirt::log
