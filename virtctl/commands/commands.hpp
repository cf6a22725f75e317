// The verbs: each adds itself to the parser; its callback sets the exit code.
#pragma once
#include "virtctl/session.hpp"

namespace CLI {
class App;
}

namespace nodevirt::virtctl {

void add_lifecycle(CLI::App& app, Globals& globals, int& exit_code);   // start stop restart pause unpause soft-reboot reset
void add_console(CLI::App& app, Globals& globals, int& exit_code);
void add_vnc(CLI::App& app, Globals& globals, int& exit_code);
void add_expose(CLI::App& app, Globals& globals, int& exit_code);
void add_image(CLI::App& app, Globals& globals, int& exit_code);
void add_version(CLI::App& app, Globals& globals, int& exit_code);
void add_completion(CLI::App& app, Globals& globals, int& exit_code);

}  // namespace nodevirt::virtctl
