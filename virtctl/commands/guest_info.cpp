// guestosinfo, userlist, fslist: what the guest's agent tells, as JSON.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"

namespace nodevirt::virtctl {

namespace {

struct Question {
  const char* name;
  const char* subresource;
  const char* help;
};

constexpr Question kQuestions[] = {
    {"guestosinfo", "guestosinfo", "What the guest's agent says of its operating system"},
    {"userlist", "userlist", "Who is logged in, as the guest's agent says"},
    {"fslist", "filesystemlist", "The guest's file systems, as its agent says"},
};

Awaitable<Result<void>> ask(std::vector<std::string> words, std::string subresource, Session& session) {
  NV_CO_TRY(Target target, parse_target(words, Kind::VirtualMachineInstance));
  net::Request request;
  request.target = subresource_path(Kind::VirtualMachineInstance, session.ns, target.name, subresource);
  NV_CO_TRY(net::Response answer, co_await exchange(session, std::move(request)));
  NV_CO_TRY(Json said, parse_json(answer.body));
  std::printf("%s\n", said.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  co_return Result<void>{};
}

}  // namespace

void add_guest_info(CLI::App& app, Globals& globals, int& exit_code) {
  for (const Question& question : kQuestions) {
    auto words = std::make_shared<std::vector<std::string>>();
    CLI::App* sub = app.add_subcommand(question.name, question.help);
    sub->add_option("target", *words, "[TYPE] NAME")->required()->expected(1, 2);
    sub->callback([&globals, &exit_code, &question, words] {
      auto body = [&question, words](Session& session) { return ask(*words, question.subresource, session); };
      exit_code = with_session(globals, body);
    });
  }
}

}  // namespace nodevirt::virtctl
