// The commands of the multi-call binary that are no programs.
#pragma once
#include <string>
#include <vector>

#include "standalone/supervisor/program.hpp"

namespace nodevirt::supervisor {

/// Each takes the arguments after its own name and returns the exit status: 0, 1 (failed), 2 (usage).
int up(std::vector<std::string> args, const LinkedPrograms& linked);
int down(std::vector<std::string> args, const LinkedPrograms& linked);
int status(std::vector<std::string> args);
int reset(std::vector<std::string> args);
int image(std::vector<std::string> args);
int kubeconfig(std::vector<std::string> args);

/// Prints an error as every command does: "nodevirt: message" on stderr. Returns 1 (2 for wrong usage).
int complain(const Error& error);

}  // namespace nodevirt::supervisor
