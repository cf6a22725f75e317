// completion: scripts for bash, zsh and fish. Names come from the server, by the hidden verb __names.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"

namespace nodevirt::virtctl {

namespace {

constexpr const char* kBash = R"sh(_virtctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "@VERBS@" -- "$cur")); return; fi
  case $verb in
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "$(virtctl __names 2>/dev/null)" -- "$cur")) ;;
  esac
}
complete -F _virtctl virtctl
)sh";
constexpr const char* kZsh = R"sh(#compdef virtctl
_virtctl() {
  if (( CURRENT == 2 )); then compadd @VERBS@; return; fi
  case $words[2] in
    completion) compadd bash zsh fish ;;
    *) compadd $(virtctl __names 2>/dev/null) ;;
  esac
}
compdef _virtctl virtctl
)sh";
constexpr const char* kFish = R"sh(complete -c virtctl -f
complete -c virtctl -n __fish_use_subcommand -a "@VERBS@"
complete -c virtctl -n "__fish_seen_subcommand_from completion" -a "bash zsh fish"
complete -c virtctl -n "not __fish_use_subcommand; and not __fish_seen_subcommand_from completion" -a "(virtctl __names 2>/dev/null)"
)sh";

Awaitable<Result<void>> print_names(Session& session) {
  NV_CO_TRY(Json list, co_await session.client.list(k8s::resources::kVirtualMachines, session.ns));
  if (const Json* items = find(list, {"items"}); items && items->is_array())
    for (const Json& item : *items) std::printf("%s\n", string_at(item, {"metadata", "name"}).c_str());
  co_return Result<void>{};
}

}  // namespace

void add_completion(CLI::App& app, Globals& globals, int& exit_code) {
  auto shell = std::make_shared<std::string>();
  CLI::App* sub = app.add_subcommand("completion", "Print a completion script for a shell");
  sub->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  sub->callback([&app, shell] {
    std::string verbs;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
      if (!verb->get_name().starts_with("__")) verbs += (verbs.empty() ? "" : " ") + verb->get_name();
    std::string script = *shell == "bash" ? kBash : *shell == "zsh" ? kZsh : kFish;
    for (std::size_t at; (at = script.find("@VERBS@")) != std::string::npos;) script.replace(at, 7, verbs);
    std::fputs(script.c_str(), stdout);
  });
  CLI::App* names = app.add_subcommand("__names", "");
  names->group("");
  names->callback([&globals, &exit_code] { exit_code = with_session(globals, print_names); });
}

}  // namespace nodevirt::virtctl
