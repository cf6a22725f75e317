// The list-and-watch protocol as a state machine without I/O.
//
// The shell performs `Step::next`, then calls resume() with what came of it. Store events come out as
// Init (items of the pages that follow belong to a new complete list), InitDone, Apply and Delete: a
// half-synced cache cannot be expressed. Every recovery rule stands here: 410 -> list again, a stream
// that ended -> watch on from the last version seen, failures -> back off 50 ms, 100 ms ... 5 s.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <variant>

#include "pkg/base/json.hpp"

namespace nodevirt::k8s {

// What the shell reports.
struct Started {};
/// A page came; the shell has already stored its items.
struct PageListed { std::string resource_version, continue_token; };
struct ListFailed { Error error; };
struct WatchOpened {};
struct WatchFailed { Error error; };
/// One event of the stream, decoded: {"type": ..., "object": ...}.
struct WatchLine { const Json* event; };
/// The stream ended, cleanly or not (also a line that does not parse); it had lived that long.
struct StreamEnded { std::chrono::nanoseconds lived; };
struct Waited {};
using WatchInput = std::variant<Started, PageListed, ListFailed, WatchOpened, WatchFailed, WatchLine, StreamEnded, Waited>;

struct WatchStep {
  enum class Next { List, Watch, Read, Wait };
  enum class Store { None, Init, InitDone, Apply, Delete };
  Next next = Next::List;
  Store store = Store::None;      ///< done to the store before `next`; Apply and Delete take the line's object
  std::string resource_version;   ///< of Watch
  std::string continue_token;     ///< of List; empty: from the beginning
  std::chrono::nanoseconds wait{0};
  std::string complaint;          ///< not empty: worth a line in the log, once per outage
};

class WatchMachine {
 public:
  static constexpr std::chrono::milliseconds kMinBackoff{50}, kMaxBackoff{5000};
  WatchStep resume(const WatchInput& input);
  const std::string& resource_version() const { return version_; }

 private:
  WatchStep list_again(bool at_once, std::string complaint);
  WatchStep back_off(WatchStep::Next then, const Error& error);
  WatchStep on_line(const Json& event);
  WatchStep start(WatchStep::Next next);

  std::string version_;
  std::string continue_;
  WatchStep::Next after_wait_ = WatchStep::Next::List;
  int failures_ = 0;        ///< since the last progress
  int watch_failures_ = 0;  ///< watches in a row that could not be opened
  bool complained_ = false;
};

/// Splits a byte stream into lines. A line longer than the bound is an error: the stream is then useless.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line = 64u << 20) : max_line_(max_line) {}
  Result<void> feed(std::string_view bytes);
  /// The next whole line without its end, or nothing; valid until the next call.
  std::optional<std::string_view> next();
  void clear() { buffer_.clear(); begin_ = scanned_ = 0; }

 private:
  std::string buffer_;
  std::size_t begin_ = 0, scanned_ = 0, max_line_;
};

}  // namespace nodevirt::k8s
