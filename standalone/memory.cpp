#include "standalone/memory.hpp"

#include <chrono>
#include <malloc.h>
#include <thread>

#include <pthread.h>

namespace nodevirt {

namespace {

void trim_now_and_then() {
  using namespace std::chrono_literals;
  for (auto pause : {2s, 3s, 5s}) {
    std::this_thread::sleep_for(pause);
    ::malloc_trim(0);
  }
  for (;;) {
    std::this_thread::sleep_for(30s);
    ::malloc_trim(0);
  }
}

}  // namespace

void keep_memory_small() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, 128 << 10);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  std::thread(trim_now_and_then).detach();
}

}  // namespace nodevirt
