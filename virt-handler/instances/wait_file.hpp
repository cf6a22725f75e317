// Waiting for a file to appear.
#pragma once
#include <filesystem>

#include "pkg/base/clock.hpp"

namespace nodevirt::virt_handler {

/// True once `dir`/`name` exists, false when stopped first. `dir` itself may not exist yet: it is looked for
/// with growing pauses; inside of it the kernel tells (inotify).
Awaitable<bool> wait_for_file(std::filesystem::path dir, std::string name, Clock& clock, StopToken stop);

}  // namespace nodevirt::virt_handler
