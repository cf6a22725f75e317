// migrate, migrate-cancel.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"
#include "virtctl/migrate/follow.hpp"

namespace nodevirt::virtctl {

namespace {

// Besides 1 for what went wrong on the way.
constexpr int kFailed = 3, kCancelled = 4, kTimedOut = 5;

struct MigrateFlags {
  std::vector<std::string> words, selector;
  bool wait = false, dry_run = false, force = false, no_force = false;
  std::int64_t timeout = 0;
  int exit_code = 0;
};

Result<Json> migrate_body(const MigrateFlags& flags) {
  Json body = Json::object();
  if (flags.dry_run) body["dryRun"] = Json::array({"All"});
  if (flags.force && flags.no_force) return Error(Code::InvalidArgument, "--force and --no-force exclude each other");
  if (flags.force || flags.no_force) body["force"] = flags.force;
  for (const auto& pair : flags.selector) {
    auto eq = pair.find('=');
    if (eq == std::string::npos || eq == 0)
      return Error(Code::InvalidArgument, fmt::format("--addedNodeSelector takes KEY=VALUE; \"{}\" is none", pair));
    body["addedNodeSelector"][pair.substr(0, eq)] = pair.substr(eq + 1);
  }
  return body;
}

// The answer names the migration; a server that gives none has the one that goes on.
Awaitable<Result<std::string>> name_of_migration(Session& session, std::string body, std::string vmi) {
  if (auto made = parse_json(body); made.ok() && !string_at(*made, {"metadata", "name"}).empty()) co_return string_at(*made, {"metadata", "name"});
  NV_CO_TRY(Json active, co_await active_migration(session, vmi));
  co_return string_at(active, {"metadata", "name"});
}

Awaitable<Result<void>> migrate(std::shared_ptr<MigrateFlags> flags, Session& session) {
  NV_CO_TRY(Target target, parse_target(flags->words, Kind::VirtualMachine));
  NV_CO_TRY(Json body, migrate_body(*flags));
  auto asked = co_await put_subresource(session, Kind::VirtualMachine, target.name, "migrate", body);
  if (!asked.ok()) co_return asked.error().with_context("Error migrating VirtualMachine");
  if (!flags->wait || flags->dry_run) {
    std::printf("VM %s was scheduled to migrate%s\n", target.name.c_str(), flags->dry_run ? " (dry run)" : "");
    co_return Result<void>{};
  }
  NV_CO_TRY(std::string name, co_await name_of_migration(session, asked->body, target.name));
  NV_CO_TRY(Json last, co_await follow_migration(session, name, std::chrono::seconds(flags->timeout)));
  auto outcome = outcome_of(last);
  bool good = outcome == MigrationOutcome::Succeeded;
  std::fprintf(good ? stdout : stderr, "%s%s\n", good ? "" : "error: ", closing_line(target.name, last).c_str());
  if (outcome == MigrationOutcome::Failed) flags->exit_code = kFailed;
  if (outcome == MigrationOutcome::Cancelled) flags->exit_code = kCancelled;
  if (outcome == MigrationOutcome::Running) flags->exit_code = kTimedOut;
  co_return Result<void>{};
}

Awaitable<Result<void>> cancel(std::shared_ptr<MigrateFlags> flags, Session& session) {
  NV_CO_TRY(Target target, parse_target(flags->words, Kind::VirtualMachine));
  NV_CO_TRY(Json active, co_await active_migration(session, target.name));
  std::string name = string_at(active, {"metadata", "name"});
  if (!flags->dry_run) {
    client::DeleteOptions options;
    options.uid = string_at(active, {"metadata", "uid"});
    auto gone = co_await session.client.remove(k8s::resources::kVirtualMachineInstanceMigrations, session.ns, name, options);
    if (!gone.ok()) co_return gone.error().with_context(fmt::format("Error canceling migration {} of a VirtualMachine {}", name, target.name));
  }
  std::printf("VM %s was scheduled to migrate-cancel%s\n", target.name.c_str(), flags->dry_run ? " (dry run)" : "");
  co_return Result<void>{};
}

}  // namespace

void add_migrate(CLI::App& app, Globals& globals, int& exit_code) {
  auto flags = std::make_shared<MigrateFlags>();
  CLI::App* sub = app.add_subcommand("migrate", "Move a running virtual machine to another node");
  sub->add_option("target", flags->words, "[vm] NAME")->required()->expected(1, 2);
  sub->add_option("--addedNodeSelector", flags->selector, "KEY=VALUE,...: labels that the target must have besides those that the machine asks for")->delimiter(',');
  sub->add_flag("--wait", flags->wait, "Show how it goes until it has ended; exits with 0 (migrated), 3 (failed, the guest stays), 4 (cancelled), 5 (--timeout)");
  sub->add_option("--timeout", flags->timeout, "With --wait: seconds to wait at most; the migration goes on then")->check(CLI::NonNegativeNumber);
  sub->add_flag("--force", flags->force, "The guest may be slowed down for it, where the migration policy leaves that to the request");
  sub->add_flag("--no-force", flags->no_force, "The guest may not be slowed down for it, where the migration policy leaves that to the request");
  sub->add_flag("--dry-run", flags->dry_run, "Check the request, change nothing");
  sub->callback([&globals, &exit_code, flags] {
    auto body = [flags](Session& session) { return migrate(flags, session); };
    exit_code = with_session(globals, body);
    if (exit_code == 0) exit_code = flags->exit_code;
  });

  auto cancel_flags = std::make_shared<MigrateFlags>();
  CLI::App* stop = app.add_subcommand("migrate-cancel", "Cancel the migration of a virtual machine");
  stop->add_option("target", cancel_flags->words, "[vm] NAME")->required()->expected(1, 2);
  stop->add_flag("--dry-run", cancel_flags->dry_run, "Check the request, change nothing");
  stop->callback([&globals, &exit_code, cancel_flags] {
    auto body = [cancel_flags](Session& session) { return cancel(cancel_flags, session); };
    exit_code = with_session(globals, body);
  });
}

}  // namespace nodevirt::virtctl
