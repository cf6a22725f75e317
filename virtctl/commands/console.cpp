// console: the guest's serial line on the person's terminal.
#include <cstdio>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "pkg/base/clock.hpp"
#include "virtctl/commands/commands.hpp"
#include "virtctl/console/terminal.hpp"
#include "virtctl/console/wait.hpp"

namespace nodevirt::virtctl {

namespace {

constexpr char kEscape = 0x1d;  // ^]

enum class Ending { Left, TakenOver, Ended };
struct Outcome {
  Ending ending = Ending::Ended;
  std::string reason;
};

struct Line {
  std::shared_ptr<net::WebSocket> socket;
  std::shared_ptr<Input> input;
  bool left = false;
};

// Keyboard to guest, until ^] or the end of input.
Awaitable<void> pump_input(std::shared_ptr<Line> line) {
  bool any = false;
  for (;;) {
    std::string bytes = co_await line->input->read();
    if (bytes.empty()) {
      // Input that is empty from the start (</dev/null) means: only look.
      if (any) line->left = true;
      break;
    }
    any = true;
    auto escape = bytes.find(kEscape);
    if (escape != std::string::npos) {
      line->left = true;
      bytes.resize(escape);
    }
    if (!bytes.empty() && !(co_await line->socket->write(bytes)).ok()) break;
    if (line->left) break;
  }
  if (line->left) line->socket->abort();
}

void print(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

Awaitable<Result<Outcome>> attach(Session& session, std::string name, std::shared_ptr<Input> input) {
  net::Request request;
  request.target = subresource_path(Kind::VirtualMachineInstance, session.ns, name, "console");
  std::vector<std::string> protocols = {"plain.kubevirt.io"};
  auto opened = co_await session.client.transport()->websocket(std::move(request), std::move(protocols));
  if (!opened.ok()) co_return std::move(opened).error();
  auto line = std::make_shared<Line>();
  line->socket = std::move(opened).value();
  line->input = input;
  RawMode raw;
  std::fprintf(stderr, "Connected to %s; the escape is ^]\r\n", name.c_str());
  spawn(session.executor, pump_input(line), "console input");
  for (;;) {
    Result<net::WebSocket::Message> message = co_await line->socket->read();
    if (line->left) co_return Outcome{Ending::Left, ""};
    if (!message.ok()) co_return Outcome{Ending::Ended, message.error().message};
    if (message->closed) {
      bool taken = message->close_reason.find("taken over") != std::string::npos;
      co_return Outcome{taken ? Ending::TakenOver : Ending::Ended, message->close_reason};
    }
    print(message->data);
  }
}

Awaitable<Result<void>> console(std::vector<std::string> words, int minutes, Session& session) {
  NV_CO_TRY(Target target, parse_target(words, Kind::VirtualMachineInstance));
  bool connected = false;
  for (;;) {
    NV_CO_TRY_VOID(co_await wait_until_running(session, target.name, std::chrono::minutes(minutes)));
    auto input = std::make_shared<Input>(session.executor);
    Result<Outcome> outcome = co_await attach(session, target.name, input);
    input->close();
    if (!outcome.ok()) {
      // Between "runs" and the attempt the instance may have ended; then the wait tells.
      bool passing = outcome.error().code == Code::FailedPrecondition || outcome.error().code == Code::Unavailable ||
                     outcome.error().code == Code::AlreadyExists || outcome.error().code == Code::NotFound ||
                     outcome.error().code == Code::Aborted;
      if (!connected || !passing) co_return std::move(outcome).error();
    } else {
      connected = true;
      if (outcome->ending == Ending::Left) {
        std::fputs("\n", stderr);
        co_return Result<void>{};
      }
      if (outcome->ending == Ending::TakenOver)
        co_return Error(Code::Aborted, "the console was taken over: " + outcome->reason);
      std::fprintf(stderr, "\n[%s: the console ended%s%s]\n", target.name.c_str(), outcome->reason.empty() ? "" : ": ",
                   outcome->reason.c_str());
    }
    co_await system_clock().sleep(std::chrono::milliseconds(300), {});
  }
}

}  // namespace

void add_console(CLI::App& app, Globals& globals, int& exit_code) {
  auto words = std::make_shared<std::vector<std::string>>();
  auto minutes = std::make_shared<int>(5);
  CLI::App* sub = app.add_subcommand("console", "Open the serial console; ^] leaves it");
  sub->add_option("target", *words, "[TYPE] NAME")->required()->expected(1, 2);
  sub->add_option("--timeout", *minutes, "Minutes to wait for a machine that is still starting")->check(CLI::PositiveNumber);
  sub->callback([&globals, &exit_code, words, minutes] {
    auto body = [words, minutes](Session& session) { return console(*words, *minutes, session); };
    exit_code = with_session(globals, body);
  });
}

}  // namespace nodevirt::virtctl
