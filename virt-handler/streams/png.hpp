// Screenshots: from the PPM (or PNG) that QEMU makes to the PNG that clients expect.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

/// Binary PPM (P6, 8 bits), at most 8192x8192; what is PNG already stays as it is. InvalidArgument for anything else.
Result<std::string> png_of_ppm(std::string_view ppm);

}  // namespace nodevirt::virt_handler
