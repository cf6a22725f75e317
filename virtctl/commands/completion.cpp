#include "virtctl/commands/completion.hpp"

#include <cstdio>
#include <set>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"

namespace nodevirt::virtctl {

namespace {

constexpr const char* kBash = R"sh(_virtctl() {
  local IFS=$'\n'
  COMPREPLY=($(virtctl __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _virtctl virtctl
)sh";
constexpr const char* kZsh = R"sh(#compdef virtctl
_virtctl() {
  local -a offers
  offers=(${(f)"$(virtctl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( ${#offers} )); then compadd -- $offers; else _files; fi
}
if [ "$funcstack[1]" = _virtctl ]; then _virtctl; else compdef _virtctl virtctl; fi
)sh";
constexpr const char* kFish = R"sh(function __virtctl_offers
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    virtctl __complete $words "$current" 2>/dev/null
end
complete -c virtctl -f -a '(__virtctl_offers)'
)sh";

const CLI::Option* flag_named(const CLI::App* app, const std::string& word) {
  for (; app; app = app->get_parent())
    for (const CLI::Option* option : app->get_options())
      if (option->nonpositional() && option->check_name(word)) return option;
  return nullptr;
}

const CLI::App* verb_named(const CLI::App& app, const std::string& word) {
  auto found = app.get_subcommands([&word](const CLI::App* sub) { return sub->check_name(word); });
  return found.empty() ? nullptr : found.front();
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

void note_value(Cursor& cursor, const CLI::Option& option, const std::string& value) {
  if (option.check_name("--namespace")) cursor.ns = value;
  if (option.check_name("--context")) cursor.context = value;
  if (option.check_name("--kubeconfig")) cursor.kubeconfig = value;
}

// CLI11 writes the members of a set into the type's name: "TEXT:{bash,zsh,fish}".
std::vector<std::string> members(const CLI::Option& option) {
  std::string type = option.get_type_name();
  auto open = type.find('{'), close = type.find('}');
  std::vector<std::string> out;
  if (open == std::string::npos || close == std::string::npos || close < open) return out;
  for (auto& word : CLI::detail::split(type.substr(open + 1, close - open - 1), ',')) out.push_back(word);
  return out;
}

const CLI::Option* positional_of(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options())
    if (option->get_positional()) return option;
  return nullptr;
}

bool wants_names(const Cursor& cursor) {
  const CLI::Option* positional = positional_of(*cursor.command);
  if (!positional || positional->get_name(true).find("target") == std::string::npos) return false;
  if (cursor.positionals.empty()) return true;
  return cursor.positionals.size() == 1 && parse_target({cursor.positionals[0], "x"}, Kind::VirtualMachine).ok();
}

void add_names(const Json& list, const std::string& prefix, std::set<std::string>& out) {
  if (const Json* items = find(list, {"items"}); items && items->is_array())
    for (const Json& item : *items) out.insert(prefix + string_at(item, {"metadata", "name"}));
}

Awaitable<Result<void>> print_names(Session& session, Cursor cursor, std::string current) {
  std::set<std::string> names;
  if (cursor.value_of) {
    NV_CO_TRY(Json list, co_await session.client.list(k8s::resources::kNamespaces, ""));
    add_names(list, "", names);
  } else {
    auto slash = current.find('/');
    std::string type = !cursor.positionals.empty() ? cursor.positionals[0] : current.substr(0, slash == std::string::npos ? 0 : slash);
    std::string prefix = slash == std::string::npos ? "" : current.substr(0, slash + 1);
    auto target = type.empty() ? Result<Target>(Target{}) : parse_target({type, "x"}, Kind::VirtualMachine);
    if (!target.ok()) co_return Result<void>{};
    // Of these verbs a machine is the object; the others act on the instance, which may have no machine.
    static const std::set<std::string> of_machines = {"start", "stop", "restart", "migrate", "migrate-cancel"};
    bool machines = type.empty() || target->kind == Kind::VirtualMachine;
    bool instances = type.empty() ? !of_machines.count(cursor.command->get_name()) : !machines;
    if (machines) {
      NV_CO_TRY(Json list, co_await session.client.list(k8s::resources::kVirtualMachines, session.ns));
      add_names(list, prefix, names);
    }
    if (instances) {
      NV_CO_TRY(Json list, co_await session.client.list(k8s::resources::kVirtualMachineInstances, session.ns));
      add_names(list, prefix, names);
    }
  }
  for (const std::string& name : names)
    if (name.starts_with(current)) std::printf("%s\n", name.c_str());
  co_return Result<void>{};
}

}  // namespace

Cursor cursor_after(const CLI::App& app, const std::vector<std::string>& words) {
  Cursor cursor;
  cursor.command = &app;
  for (const std::string& word : words) {
    if (cursor.value_of) {
      note_value(cursor, *cursor.value_of, word);
      cursor.value_of = nullptr;
      continue;
    }
    if (word.size() > 1 && word[0] == '-') {
      auto equals = word.find('=');
      const CLI::Option* flag = flag_named(cursor.command, word.substr(0, equals));
      if (!flag || !takes_value(*flag)) continue;
      if (equals == std::string::npos) cursor.value_of = flag;
      else note_value(cursor, *flag, word.substr(equals + 1));
      continue;
    }
    if (const CLI::App* verb = verb_named(*cursor.command, word); verb && cursor.positionals.empty()) cursor.command = verb;
    else cursor.positionals.push_back(word);
  }
  return cursor;
}

std::vector<std::string> local_offers(const Cursor& cursor, const std::string& current) {
  std::vector<std::string> out;
  auto offer = [&](const std::string& word) {
    if (word.starts_with(current)) out.push_back(word);
  };
  if (cursor.value_of) {
    for (const std::string& member : members(*cursor.value_of)) offer(member);
    return out;
  }
  if (current.starts_with("-")) {
    for (const CLI::App* app = cursor.command; app; app = app->get_parent())
      for (const CLI::Option* option : app->get_options())
        for (const std::string& name : option->get_lnames())
          if (std::find(out.begin(), out.end(), "--" + name) == out.end()) offer("--" + name);
    return out;
  }
  if (cursor.positionals.empty())
    for (const CLI::App* verb : cursor.command->get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); }))
      offer(verb->get_name());
  if (const CLI::Option* positional = positional_of(*cursor.command); positional && cursor.positionals.empty())
    for (const std::string& member : members(*positional)) offer(member);
  if (wants_names(cursor) && cursor.positionals.empty())
    for (const char* type : {"vm", "vmi"}) offer(type);
  return out;
}

void print_offers(const CLI::App& app, Globals globals, std::vector<std::string> words) {
  std::string current = words.empty() ? "" : words.back();
  if (!words.empty()) words.pop_back();
  Cursor cursor = cursor_after(app, words);
  for (const std::string& word : local_offers(cursor, current)) std::printf("%s\n", word.c_str());
  std::fflush(stdout);
  bool namespaces = cursor.value_of && cursor.value_of->check_name("--namespace");
  bool names = !cursor.value_of && !current.starts_with("-") && wants_names(cursor);
  if (!namespaces && !names) return;
  globals.ns = cursor.ns;
  globals.context = cursor.context;
  globals.kubeconfig = cursor.kubeconfig;
  auto body = [&cursor, &current](Session& session) { return print_names(session, cursor, current); };
  with_session(globals, body);
}

void add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* sub = app.add_subcommand("completion", "Print a completion script for a shell");
  sub->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  sub->callback([shell] { std::fputs(*shell == "bash" ? kBash : *shell == "zsh" ? kZsh : kFish, stdout); });
}

}  // namespace nodevirt::virtctl
