#include "virtctl/app.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"
#include "virtctl/commands/completion.hpp"
#include "virtctl/suggest.hpp"

namespace nodevirt::virtctl {

namespace {

// -n=NAME, as kubectl's users may write it: CLI11 would take "=NAME" for the value.
std::vector<std::string> split_short_flags(const std::vector<std::string>& args) {
  std::vector<std::string> out;
  bool flags = true;
  for (const std::string& arg : args) {
    flags = flags && arg != "--";
    bool joined = flags && arg.size() > 3 && arg[0] == '-' && std::isalpha(static_cast<unsigned char>(arg[1])) && arg[2] == '=';
    if (joined) out.insert(out.end(), {arg.substr(0, 2), arg.substr(3)});
    else out.push_back(arg);
  }
  return out;
}

// kubectl runs its plugin `virt` under the name that it found in PATH.
const char* own_name() {
  return std::string_view(program_invocation_short_name) == "kubectl-virt" ? "kubectl virt" : "virtctl";
}

std::vector<std::string> verbs(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); }))
    out.push_back(verb->get_name());
  return out;
}

int explain(const CLI::App& app, const CLI::ParseError& error) {
  auto words = app.remaining();
  bool unknown = error.get_exit_code() != 0 && app.get_subcommands().empty() && !words.empty() && words[0][0] != '-';
  if (!unknown) {
    int code = app.exit(error, std::cout, std::cerr);
    return code == 0 ? 0 : 2;
  }
  std::cerr << "error: unknown command \"" << words[0] << "\"";
  auto close = close_words(words[0], verbs(app));
  for (std::size_t i = 0; i < close.size(); ++i) std::cerr << (i == 0 ? "; did you mean " : " or ") << close[i];
  std::cerr << (close.empty() ? "; " : "? ") << "`" << app.get_name() << " --help` lists the commands\n";
  return 2;
}

}  // namespace

int run(std::vector<std::string> args) {
  CLI::App app{"virtctl controls virtual machines", own_name()};
  app.require_subcommand(1);
  app.fallthrough();          // the global flags may stand after the verb
  app.set_help_all_flag("--help-all", "Help of every verb");

  Globals globals;
  int exit_code = 0;
  app.add_option("-n,--namespace", globals.ns, "Namespace; the context's when not given");
  app.add_option("--kubeconfig", globals.kubeconfig, "Path of the kubeconfig; $KUBECONFIG or ~/.kube/config when not given");
  app.add_option("--context", globals.context, "Context of the kubeconfig");

  add_lifecycle(app, globals, exit_code);
  add_migrate(app, globals, exit_code);
  add_evacuate(app, globals, exit_code);
  add_console(app, globals, exit_code);
  add_vnc(app, globals, exit_code);
  add_port_forward(app, globals, exit_code);
  add_ssh(app, globals, exit_code);
  add_guest_info(app, globals, exit_code);
  add_expose(app, globals, exit_code);
  add_image(app, globals, exit_code);
  add_version(app, globals, exit_code);
  add_completion(app);

  if (!args.empty() && args[0] == kCompleteWord) {
    print_offers(app, globals, {args.begin() + 1, args.end()});
    return 0;
  }
  args = split_short_flags(args);
  std::reverse(args.begin(), args.end());  // CLI11 takes a stack
  try {
    app.parse(args);
  } catch (const CLI::ParseError& e) {
    return explain(app, e);
  }
  return exit_code;
}

}  // namespace nodevirt::virtctl
