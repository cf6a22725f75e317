// vnc: a local port that leads to the guest's screen, and a viewer on it; screenshot.
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <CLI/CLI.hpp>

#include "pkg/base/file.hpp"
#include "virtctl/commands/commands.hpp"
#include "virtctl/console/wait.hpp"
#include "virtctl/tunnel.hpp"

extern char** environ;

namespace nodevirt::virtctl {

namespace asio = boost::asio;

namespace {

struct VncFlags {
  std::vector<std::string> words;
  bool proxy_only = false, preserve_session = false;
  int port = 0;
  std::string address = "127.0.0.1", type, path;
};

struct Viewer {
  const char* type;
  const char* program;
  const char* argument;   // {} is host:port
};
constexpr Viewer kViewers[] = {
    {"remote-viewer", "remote-viewer", "vnc://{}"},
    {"tiger", "vncviewer", "{}"},
    {"tiger", "xtigervncviewer", "{}"},
    {"real", "vncviewer", "{}"},
    {"chicken", "Chicken.app/Contents/MacOS/Chicken", "{}"},
};

bool in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "";
  while (!rest.empty()) {
    auto dir = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), dir.size() + 1));
    if (::access((std::string(dir) + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Result<std::vector<std::string>> viewer_command(const VncFlags& flags, const std::string& endpoint) {
  for (const Viewer& v : kViewers) {
    if (!flags.type.empty() && flags.type != v.type) continue;
    std::string program = flags.path.empty() ? v.program : flags.path;
    if (!flags.path.empty() || in_path(program))
      return std::vector<std::string>{program, fmt::format(fmt::runtime(v.argument), endpoint)};
  }
  return Error(Code::NotFound, "no VNC viewer found in PATH (remote-viewer or vncviewer); install one, name one with "
                               "--vnc-path, or use --proxy-only and a viewer of your own");
}

Awaitable<void> reap(pid_t pid, bool* ended, asio::ip::tcp::acceptor* acceptor) {
  int status = 0;
  auto wait = [pid, &status] { while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {} };
  co_await run_blocking(wait);
  *ended = true;
  boost::system::error_code ec;
  acceptor->cancel(ec);
}

Awaitable<Result<void>> vnc(std::shared_ptr<VncFlags> flags, Session& session) {
  NV_CO_TRY(Target target, parse_target(flags->words, Kind::VirtualMachineInstance));
  NV_CO_TRY_VOID(co_await wait_until_running(session, target.name, std::chrono::minutes(5)));
  boost::system::error_code ec;
  asio::ip::tcp::acceptor acceptor(session.executor);
  auto address = asio::ip::make_address(flags->address, ec);
  if (ec) co_return Error(Code::InvalidArgument, fmt::format("--address {}: not an address", flags->address));
  asio::ip::tcp::endpoint endpoint(address, static_cast<std::uint16_t>(flags->port));
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(1, ec);
  if (ec) co_return Error(Code::AlreadyExists, fmt::format("listen on {}:{}: {}", flags->address, flags->port, ec.message()));
  int port = acceptor.local_endpoint().port();
  bool ended = false;
  if (flags->proxy_only) {
    std::printf("{\"port\":%d}\n", port);
    std::fflush(stdout);
  } else {
    NV_CO_TRY(std::vector<std::string> argv, viewer_command(*flags, fmt::format("{}:{}", flags->address, port)));
    std::vector<char*> raw;
    for (auto& a : argv) raw.push_back(a.data());
    raw.push_back(nullptr);
    pid_t pid = 0;
    if (int e = ::posix_spawnp(&pid, raw[0], nullptr, nullptr, raw.data(), environ); e != 0)
      co_return errno_error(e, "start " + argv[0]);
    spawn(session.executor, reap(pid, &ended, &acceptor), "viewer");
  }
  // One viewer after another, until the viewer program ends.
  while (!ended) {
    asio::ip::tcp::socket socket(session.executor);
    co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) break;
    std::shared_ptr<net::ByteStream> local = net::adopt_socket(session.executor, socket.release());
    std::string subresource = flags->preserve_session ? "vnc?preserveSession=true" : "vnc";
    auto remote = co_await open_stream(session, Kind::VirtualMachineInstance, session.ns, target.name, subresource);
    if (!remote.ok()) {
      local->close();
      co_return std::move(remote).error();
    }
    std::string reason = co_await join(session.executor, local, *remote);
    if (!reason.empty()) std::fprintf(stderr, "vnc: %s\n", reason.c_str());
    if (!flags->proxy_only) break;
  }
  co_return Result<void>{};
}

Awaitable<Result<void>> screenshot(std::vector<std::string> words, std::string file, Session& session) {
  NV_CO_TRY(Target target, parse_target(words, Kind::VirtualMachineInstance));
  net::Request request;
  request.target = subresource_path(Kind::VirtualMachineInstance, session.ns, target.name, "vnc/screenshot");
  NV_CO_TRY(net::Response answer, co_await exchange(session, std::move(request)));
  if (file == "-") {
    std::fwrite(answer.body.data(), 1, answer.body.size(), stdout);
  } else {
    NV_CO_TRY_VOID(write_file_atomic(file, answer.body));
    std::printf("screenshot of %s written to %s\n", target.name.c_str(), file.c_str());
  }
  co_return Result<void>{};
}

}  // namespace

void add_vnc(CLI::App& app, Globals& globals, int& exit_code) {
  auto flags = std::make_shared<VncFlags>();
  CLI::App* sub = app.add_subcommand("vnc", "Open the graphical console in a viewer");
  sub->require_subcommand(0, 1);
  sub->add_option("target", flags->words, "[TYPE] NAME")->expected(1, 2);
  sub->add_flag("--proxy-only", flags->proxy_only, "Only listen, and print the port as JSON");
  sub->add_flag("--preserve-session", flags->preserve_session, "Refuse when somebody else is connected, instead of taking over");
  sub->add_option("--port", flags->port, "Local port; a free one when not given")->check(CLI::Range(0, 65535));
  sub->add_option("--address", flags->address, "Local address");
  sub->add_option("--vnc-type", flags->type, "Viewer")->check(CLI::IsMember({"tiger", "chicken", "real", "remote-viewer"}));
  sub->add_option("--vnc-path", flags->path, "Path of the viewer");
  auto shot_words = std::make_shared<std::vector<std::string>>();
  auto file = std::make_shared<std::string>();
  CLI::App* shot = sub->add_subcommand("screenshot", "Write a picture of the screen to a file");
  shot->add_option("target", *shot_words, "[TYPE] NAME")->required()->expected(1, 2);
  shot->add_option("-f,--file", *file, "File; - is standard output")->required();
  shot->callback([&globals, &exit_code, shot_words, file] {
    auto body = [shot_words, file](Session& session) { return screenshot(*shot_words, *file, session); };
    exit_code = with_session(globals, body);
  });
  sub->callback([&globals, &exit_code, flags, shot] {
    if (shot->parsed()) return;
    auto body = [flags](Session& session) { return vnc(flags, session); };
    exit_code = with_session(globals, body);
  });
}

}  // namespace nodevirt::virtctl
