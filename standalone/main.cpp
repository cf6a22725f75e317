// The multi-call binary `nodevirt`: the commands that bring a machine up, and every program of it.
#include <sys/prctl.h>

#include <iostream>

#include "pkg/base/failpoint.hpp"
#include "standalone/memory.hpp"
#include "standalone/programs.hpp"
#include "standalone/supervisor/up.hpp"

namespace {

using namespace nodevirt;

constexpr std::string_view kUsage =
    "Usage: nodevirt COMMAND [flags]\n\n"
    "Commands:\n"
    "  up          start everything on this machine, or take over what runs after a crash\n"
    "  down        shut the guests down, stop every program, remove the network\n"
    "  status      show what runs\n"
    "  reset       remove the state of an instance that is down\n"
    "  image       import, list, tag and remove disk images\n"
    "  kubeconfig  print the path of the administrator's kubeconfig\n"
    "  version     print the version\n"
    "  failpoints  print the names of the places where a test may break this binary\n\n"
    "Programs (started by up): {}\n\n"
    "nodevirt COMMAND --help says more.\n";

std::string program_names() {
  std::string out;
  for (const auto& p : standalone_programs()) out += (out.empty() ? "" : ", ") + std::string(p.name);
  return out.empty() ? "none in this build" : out;
}

supervisor::LinkedPrograms linked() {
  auto has = [](std::string_view name) {
    for (const auto& p : standalone_programs())
      if (p.name == name) return true;
    return false;
  };
  return {.apiserver = has("apiserver"), .virt_api = has("virt-api"), .virt_controller = has("virt-controller"), .node = has("node"),
          .virt_handler = has("virt-handler")};
}

int dispatch(const std::string& command, std::vector<std::string> args) {
  if (command == "up") return supervisor::up(std::move(args), linked());
  if (command == "down") return supervisor::down(std::move(args), linked());
  if (command == "status") return supervisor::status(std::move(args));
  if (command == "reset") return supervisor::reset(std::move(args));
  if (command == "image" || command == "images") return supervisor::image(std::move(args));
  if (command == "kubeconfig") return supervisor::kubeconfig(std::move(args));
  if (command == "version" || command == "--version") {
    std::cout << "nodevirt " NODEVIRT_VERSION "\n";
    return 0;
  }
  if (command == "failpoints") {
    for (const std::string& name : failpoint::names()) std::cout << name << "\n";
    return 0;
  }
  if (command == "help" || command == "--help" || command == "-h") {
    std::cout << fmt::format(fmt::runtime(kUsage), program_names());
    return 0;
  }
  for (const auto& p : standalone_programs()) {
    if (p.name != command) continue;
    prctl(PR_SET_NAME, command.c_str());
    keep_memory_small();
    return p.run(std::move(args));
  }
  std::cerr << fmt::format("nodevirt: there is no command \"{}\"\n\n", command) << fmt::format(fmt::runtime(kUsage), program_names());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  if (args.empty()) {
    std::cerr << fmt::format(fmt::runtime(kUsage), program_names());
    return 2;
  }
  std::string command = args.front();
  args.erase(args.begin());
  return dispatch(command, std::move(args));
}
