#include "virtctl/app.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"

namespace nodevirt::virtctl {

int run(std::vector<std::string> args) {
  CLI::App app{"virtctl controls virtual machines"};
  app.require_subcommand(1);
  app.fallthrough();          // the global flags may stand after the verb
  app.set_help_all_flag("--help-all", "Help of every verb");

  Globals globals;
  int exit_code = 0;
  app.add_option("-n,--namespace", globals.ns, "Namespace; the context's when not given");
  app.add_option("--kubeconfig", globals.kubeconfig, "Path of the kubeconfig; $KUBECONFIG or ~/.kube/config when not given");
  app.add_option("--context", globals.context, "Context of the kubeconfig");

  add_lifecycle(app, globals, exit_code);
  add_console(app, globals, exit_code);
  add_vnc(app, globals, exit_code);
  add_expose(app, globals, exit_code);
  add_image(app, globals, exit_code);
  add_version(app, globals, exit_code);
  add_completion(app, globals, exit_code);

  std::reverse(args.begin(), args.end());  // CLI11 takes a stack
  try {
    app.parse(args);
  } catch (const CLI::ParseError& e) {
    int code = app.exit(e, std::cout, std::cerr);
    return code == 0 ? 0 : 2;
  }
  return exit_code;
}

}  // namespace nodevirt::virtctl
