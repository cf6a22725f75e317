#include "pkg/rpc/status.hpp"

namespace nodevirt::rpc {

namespace {
constexpr std::size_t kMaxText = 4096;  // headers are small; a guest's log lines may not be
}

grpc::Status to_status(const Error& e) {
  // The codes are gRPC's own, in its order; OK would say that it worked.
  int code = e.code == Code::OK ? static_cast<int>(Code::Unknown) : static_cast<int>(e.code);
  return {static_cast<grpc::StatusCode>(code), e.message.substr(0, kMaxText), e.reason.substr(0, 256)};
}

Error from_status(const grpc::Status& s, std::string_view doing) {
  int code = static_cast<int>(s.error_code());
  if (code <= 0 || code > static_cast<int>(Code::Unauthenticated)) code = static_cast<int>(Code::Unknown);
  std::string message = s.error_message().empty() ? "no reason given" : s.error_message();
  return {static_cast<Code>(code), s.error_details(), doing.empty() ? message : fmt::format("{}: {}", doing, message)};
}

}  // namespace nodevirt::rpc
