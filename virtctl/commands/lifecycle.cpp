// start, stop, restart, pause, unpause, soft-reboot, reset: one PUT each.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"

namespace nodevirt::virtctl {

namespace {

struct Verb {
  const char* name;
  const char* subresource;
  Kind kind;                 ///< whose subresource it is
  const char* help;
  const char* done;          ///< printed after the name
  bool force = false, grace = false, paused = false;
};

constexpr Verb kVerbs[] = {
    {"start", "start", Kind::VirtualMachine, "Start a virtual machine", "was scheduled to start", false, false, true},
    {"stop", "stop", Kind::VirtualMachine, "Stop a virtual machine", "was scheduled to stop", true, true, false},
    {"restart", "restart", Kind::VirtualMachine, "Restart a virtual machine", "was scheduled to restart", true, true, false},
    {"pause", "pause", Kind::VirtualMachineInstance, "Pause a virtual machine", "was paused"},
    {"unpause", "unpause", Kind::VirtualMachineInstance, "Unpause a virtual machine", "was unpaused"},
    {"soft-reboot", "softreboot", Kind::VirtualMachineInstance, "Ask the guest to reboot", "was asked to reboot"},
    {"reset", "reset", Kind::VirtualMachineInstance, "Reset the machine, as by its reset button", "was reset"},
};

struct Flags {
  std::vector<std::string> words;
  bool force = false, paused = false, dry_run = false;
  std::int64_t grace = -1;
};

Result<Json> body_of(const Verb& verb, const Flags& flags) {
  Json body = Json::object();
  if (flags.dry_run) body["dryRun"] = Json::array({"All"});
  if (flags.paused) body["paused"] = true;
  std::int64_t grace = flags.grace;
  if (flags.force && grace > 0)
    return Error(Code::InvalidArgument, "--force ends the guest at once: --grace-period can only be 0 with it");
  if (flags.force) grace = 0;
  if (verb.grace && grace >= 0) {
    bool restart = std::string_view(verb.name) == "restart";
    if (restart && grace > 0)
      return Error(Code::InvalidArgument, "restart knows only --grace-period 0 (with --force); stop takes any");
    body[restart ? "gracePeriodSeconds" : "gracePeriod"] = grace;
  }
  return body;
}

Awaitable<Result<void>> execute(const Verb& verb, const Flags& flags, Session& session) {
  NV_CO_TRY(Target target, parse_target(flags.words, Kind::VirtualMachine));
  NV_CO_TRY(Json body, body_of(verb, flags));
  NV_CO_TRY_VOID(co_await put_subresource(session, verb.kind, target.name, verb.subresource, body));
  std::printf("%s %s %s%s\n", verb.kind == Kind::VirtualMachine ? "VM" : "VMI", target.name.c_str(), verb.done,
              flags.dry_run ? " (dry run)" : "");
  co_return Result<void>{};
}

}  // namespace

void add_lifecycle(CLI::App& app, Globals& globals, int& exit_code) {
  for (const Verb& verb : kVerbs) {
    auto flags = std::make_shared<Flags>();
    CLI::App* sub = app.add_subcommand(verb.name, verb.help);
    sub->add_option("target", flags->words, "[TYPE] NAME")->required()->expected(1, 2);
    sub->add_flag("--dry-run", flags->dry_run, "Check the request, change nothing");
    if (verb.paused) sub->add_flag("--paused", flags->paused, "Start it paused");
    if (verb.force) sub->add_flag("--force", flags->force, "End the guest at once");
    if (verb.grace)
      sub->add_option("--grace-period", flags->grace, "Seconds that the guest has to shut down; -1 keeps its own");
    sub->callback([&globals, &exit_code, &verb, flags] {
      auto body = [&verb, flags](Session& session) { return execute(verb, *flags, session); };
      exit_code = with_session(globals, body);
    });
  }
}

}  // namespace nodevirt::virtctl
