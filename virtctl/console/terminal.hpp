// The person's terminal: raw mode while a console is open, and its bytes.
#pragma once
#include <optional>
#include <termios.h>

#include "pkg/base/async.hpp"

namespace nodevirt::virtctl {

/// Raw mode on standard input for as long as it lives; nothing when that is no terminal.
class RawMode {
 public:
  RawMode();
  ~RawMode();
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

 private:
  std::optional<termios> saved_;
};

/// Standard input without blocking the executor; works for terminals, pipes and files.
class Input {
 public:
  explicit Input(Executor executor);
  ~Input();
  /// The next bytes; empty at the end of input or once closed.
  Awaitable<std::string> read();
  /// A pending read returns empty.
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// One line of progress on stderr that is overwritten; plain lines, each once, when that is no terminal.
class Progress {
 public:
  ~Progress();
  void show(const std::string& text);
  /// Ends the line so that other output starts on one of its own.
  void finish();

 private:
  std::string last_;
  bool open_ = false;
};

}  // namespace nodevirt::virtctl
