// Error <-> grpc::Status. The reason travels in the status's details.
#pragma once
#include <grpcpp/support/status.h>

#include "pkg/base/result.hpp"

namespace nodevirt::rpc {

grpc::Status to_status(const Error& error);
/// `doing` stands before the message ("sync: ..."). The status must not be OK.
Error from_status(const grpc::Status& status, std::string_view doing);

}  // namespace nodevirt::rpc
