// Screenshots: from the PPM that QEMU makes to the PNG that clients expect.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

/// Binary PPM (P6, 8 bits), at most 8192x8192. InvalidArgument for anything else.
Result<std::string> png_of_ppm(std::string_view ppm);

}  // namespace nodevirt::virt_handler
