// The line that each connection between two virt-handlers begins with, and the line that answers it. Pure.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler::migration {

enum class Channel { Control, Libvirt, Memory, Disk };
std::string_view to_string(Channel channel);

/// {"version":1,"migration":"<vmim uid>","instance":"<vmi uid>","channel":"memory"}
struct StreamHeader {
  std::string migration;   ///< 1 to 64 of 0-9a-zA-Z.-; never a path
  std::string instance;    ///< the same
  Channel channel = Channel::Control;
  std::string token;       ///< on connections without TLS: what the target said on the control channel
  friend bool operator==(const StreamHeader&, const StreamHeader&) = default;
};

inline constexpr std::size_t kMaxHeader = 1024;   ///< with the newline

/// One line without its newline. InvalidArgument for everything else; unknown members are passed over.
Result<StreamHeader> parse_header(std::string_view line);
/// With the newline.
std::string format_header(const StreamHeader& header);

/// {"ok":true} or {"error":"..."}; with the newline.
std::string accepted_line();
std::string refused_line(const Error& error);
/// Nothing when it was accepted; else the peer's error.
Result<void> parse_answer(std::string_view line);

}  // namespace nodevirt::virt_handler::migration
