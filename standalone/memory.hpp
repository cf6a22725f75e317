// The memory of the long-running programs: they share a machine with the guests.
#pragma once

namespace nodevirt {

/// Few arenas, large blocks mapped apart, and what is free given back to the kernel now and then
/// (starting, loading schemas and first lists need much more than the work that follows). Call once, first.
void keep_memory_small();

}  // namespace nodevirt
