// WebSocket's frames (RFC 6455, section 5) without I/O.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::net {

enum class Opcode : unsigned char { Continuation = 0, Text = 1, Binary = 2, Close = 8, Ping = 9, Pong = 10 };

/// A fault of the peer's, with the close code it is answered with.
struct FrameFault {
  int close_code = 1002;
  std::string text;
};

/// Whole messages and control frames from bytes.
class FrameReader {
 public:
  struct Event {
    Opcode opcode;      ///< never Continuation
    std::string data;   ///< unmasked; of a message: all of its fragments
  };
  /// `masked`: the peer must mask (it is a client) or must not.
  FrameReader(bool masked, std::size_t max_message) : masked_(masked), max_message_(max_message) {}

  /// The next event out of the front of `in`, or nothing when more bytes are needed.
  std::optional<Event> next(std::string& in);
  const std::optional<FrameFault>& fault() const { return fault_; }

 private:
  std::optional<Event> fail(int code, std::string text);
  bool masked_;
  std::size_t max_message_;
  bool in_message_ = false;
  Opcode message_opcode_ = Opcode::Binary;
  std::string message_;
  std::optional<FrameFault> fault_;
};

/// One whole frame. `mask` of four bytes for clients.
std::string write_frame(Opcode opcode, std::string_view data, std::optional<std::array<unsigned char, 4>> mask);
/// A close frame's payload: the code and at most 123 bytes of whole UTF-8 characters.
std::string close_payload(int code, std::string_view reason);
bool valid_utf8(std::string_view text);
/// Codes that may stand in a close frame.
bool valid_close_code(int code);

}  // namespace nodevirt::net
