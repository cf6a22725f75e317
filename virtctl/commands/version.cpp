#include <cstdio>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"

#ifndef NODEVIRT_VERSION
#define NODEVIRT_VERSION "unknown"
#endif

namespace nodevirt::virtctl {

namespace {

Awaitable<Result<void>> server_version(Session& session) {
  net::Request request;
  request.target = "/apis/subresources.kubevirt.io/v1/version";
  NV_CO_TRY(net::Response answer, co_await exchange(session, std::move(request)));
  NV_CO_TRY(Json version, parse_json(answer.body));
  std::printf("Server Version: %s\n", string_at(version, {"gitVersion"}, "unknown").c_str());
  co_return Result<void>{};
}

}  // namespace

void add_version(CLI::App& app, Globals& globals, int& exit_code) {
  auto client_only = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("version", "Print the versions of virtctl and of the server");
  sub->add_flag("-c,--client", *client_only, "Only virtctl's own");
  sub->callback([&globals, &exit_code, client_only] {
    std::printf("Client Version: v%s\n", NODEVIRT_VERSION);
    std::fflush(stdout);
    if (!*client_only) exit_code = with_session(globals, server_version);
  });
}

}  // namespace nodevirt::virtctl
