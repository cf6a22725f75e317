// What the two virt-handlers of a migration say to each other on the control channel. Pure.
//   target -> source   {"type":"hello","token":"...","prepared":{...}} on each link, {"type":"refused","error":"..."},
//                      {"type":"ended","what":"QEMU"|"pod"} (before it was loaded, or before it ran), {"type":"loaded"},
//                      {"type":"resumed"}
//   source -> target   {"type":"released","guestWasPaused":false}, {"type":"kept"}, {"type":"lost"} (in post-copy: the source's
//                      QEMU is gone)
#pragma once
#include "api/proto/launcher.pb.h"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_handler::migration {

struct Hello {
  std::string token;                              ///< for streams without TLS
  launcher::v1::PrepareTargetResponse prepared;
};

Json hello_message(const Hello& hello);
/// InvalidArgument when it is none; names of sockets are plain file names after that.
Result<Hello> parse_hello(const Json& message);
Json plain_message(const char* type);
Json refused_message(const Error& error);
Json released_message(bool guest_was_paused);

}  // namespace nodevirt::virt_handler::migration
