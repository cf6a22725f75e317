// The verbs: each adds itself to the parser; its callback sets the exit code.
#pragma once
#include "virtctl/session.hpp"

namespace CLI {
class App;
}

namespace nodevirt::virtctl {

void add_lifecycle(CLI::App& app, Globals& globals, int& exit_code);   // start stop restart pause unpause soft-reboot reset
void add_migrate(CLI::App& app, Globals& globals, int& exit_code);     // migrate migrate-cancel
void add_evacuate(CLI::App& app, Globals& globals, int& exit_code);    // evacuate evacuate-cancel
void add_console(CLI::App& app, Globals& globals, int& exit_code);
void add_vnc(CLI::App& app, Globals& globals, int& exit_code);
void add_port_forward(CLI::App& app, Globals& globals, int& exit_code);
void add_ssh(CLI::App& app, Globals& globals, int& exit_code);          // ssh scp
void add_guest_info(CLI::App& app, Globals& globals, int& exit_code);   // guestosinfo userlist fslist
void add_expose(CLI::App& app, Globals& globals, int& exit_code);
void add_image(CLI::App& app, Globals& globals, int& exit_code);
void add_version(CLI::App& app, Globals& globals, int& exit_code);
void add_completion(CLI::App& app);

}  // namespace nodevirt::virtctl
