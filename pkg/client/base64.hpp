// Base64 (RFC 4648, with padding), as kubeconfigs and Secrets carry it.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::client {

/// White space is skipped; anything else outside the alphabet is InvalidArgument.
Result<std::string> decode_base64(std::string_view text);

}  // namespace nodevirt::client
