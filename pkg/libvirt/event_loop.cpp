#include "pkg/libvirt/event_loop.hpp"

#include <mutex>
#include <thread>

#include <libvirt/libvirt.h>

#include "pkg/base/log.hpp"

namespace nodevirt::libvirt {

void start_event_loop() {
  static std::once_flag once;
  std::call_once(once, [] {
    virInitialize();
    virEventRegisterDefaultImpl();
    std::thread([] {
      for (;;)
        if (virEventRunDefaultImpl() < 0) log::error("libvirt's event loop failed; events may be missed");
    }).detach();
  });
}

}  // namespace nodevirt::libvirt
