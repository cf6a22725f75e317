// libvirt's event loop, on a thread of its own. Events, close notices and keepalives arrive on that thread.
#pragma once

namespace nodevirt::libvirt {

/// Starts the loop the first time; later calls do nothing. Must come before the first Connection that
/// wants events. The thread runs until the process ends.
void start_event_loop();

}  // namespace nodevirt::libvirt
