// ssh, scp: OpenSSH's own programs, with `virtctl port-forward --stdio` as the way to the guest.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"
#include "virtctl/commands/ports.hpp"

namespace nodevirt::virtctl {

namespace {

struct SshFlags {
  std::vector<std::string> words, options;
  std::string user, identity, known_hosts, command;
  int port = 22;
  bool recursive = false, preserve = false;
};

// ssh gives the ProxyCommand to a shell, after replacing what follows a '%'.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : c == '%' ? std::string("%%") : std::string(1, c);
  return out + "'";
}

std::string own_path() {
  char path[4096];
  ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  return n > 0 && n < static_cast<ssize_t>(sizeof path) ? std::string(path, static_cast<std::size_t>(n)) : "virtctl";
}

const char* type_word(Kind kind) { return kind == Kind::VirtualMachine ? "vm" : "vmi"; }

std::vector<std::string> common(const Globals& globals, const SshFlags& flags, const Place& place) {
  std::string proxy = quoted(own_path());
  auto add = [&proxy](const std::string& word) { proxy += " " + quoted(word); };
  if (!globals.kubeconfig.empty()) add("--kubeconfig=" + globals.kubeconfig);
  if (!globals.context.empty()) add("--context=" + globals.context);
  if (!place.ns.empty()) add("--namespace=" + place.ns);
  add("port-forward");
  add("--stdio");
  add(fmt::format("{}/{}", type_word(place.kind), place.name));
  add(std::to_string(flags.port));
  std::vector<std::string> out = {"-o", "ProxyCommand=" + proxy};
  std::string known = flags.known_hosts;
  if (const char* home = std::getenv("HOME"); known.empty() && home) known = std::string(home) + "/.ssh/kubevirt_known_hosts";
  if (!known.empty()) out.insert(out.end(), {"-o", "UserKnownHostsFile=" + known});
  if (!flags.identity.empty()) out.insert(out.end(), {"-i", flags.identity});
  for (const std::string& option : flags.options) out.push_back(option);
  return out;
}

std::string host_of(const Place& place) {
  return fmt::format("{}.{}{}{}", type_word(place.kind), place.name, place.ns.empty() ? "" : ".", place.ns);
}

Result<Place> place_of(const Globals& globals, const std::string& text) {
  NV_TRY(Place place, parse_place(text));
  if (place.ns.empty()) place.ns = globals.ns;
  return place;
}

Result<std::vector<std::string>> ssh_command(const Globals& globals, const SshFlags& flags) {
  Remote remote = parse_remote(flags.words[0]);
  NV_TRY(Place place, place_of(globals, remote.place));
  std::vector<std::string> argv = {"ssh"};
  for (auto& word : common(globals, flags, place)) argv.push_back(std::move(word));
  std::string user = flags.user.empty() ? remote.user : flags.user;
  if (!user.empty()) argv.insert(argv.end(), {"-l", user});
  argv.push_back(host_of(place));
  if (!flags.command.empty()) argv.insert(argv.end(), {"--", flags.command});
  return argv;
}

Result<std::vector<std::string>> scp_command(const Globals& globals, const SshFlags& flags) {
  Remote from = parse_remote(flags.words[0]), to = parse_remote(flags.words[1]);
  if (from.local == to.local)
    return Error(Code::InvalidArgument, "one of the two is [USER@]TYPE/NAME[/NAMESPACE]:PATH, the other a local file");
  const Remote& remote = from.local ? to : from;
  NV_TRY(Place place, place_of(globals, remote.place));
  std::string user = flags.user.empty() ? remote.user : flags.user;
  std::string there = fmt::format("{}{}{}:{}", user, user.empty() ? "" : "@", host_of(place), remote.path);
  std::vector<std::string> argv = {"scp"};
  if (flags.recursive) argv.push_back("-r");
  if (flags.preserve) argv.push_back("-p");
  for (auto& word : common(globals, flags, place)) argv.push_back(std::move(word));
  argv.push_back("--");
  argv.push_back(from.local ? flags.words[0] : there);
  argv.push_back(from.local ? there : flags.words[1]);
  return argv;
}

// Becomes the command; the exit code when it cannot.
int become(Result<std::vector<std::string>> argv) {
  if (!argv.ok()) {
    std::fprintf(stderr, "error: %s\n", argv.error().message.c_str());
    return 1;
  }
  std::vector<char*> raw;
  for (auto& word : *argv) raw.push_back(word.data());
  raw.push_back(nullptr);
  ::execvp(raw[0], raw.data());
  std::fprintf(stderr, "error: start %s: %s; Debian's package openssh-client has it\n", raw[0], std::strerror(errno));
  return 1;
}

void add_common(CLI::App& sub, SshFlags& flags) {
  sub.add_option("-l,--username", flags.user, "User of the guest");
  sub.add_option("-i,--identity-file", flags.identity, "Private key");
  sub.add_option("--known-hosts", flags.known_hosts, "Keys of known guests; ~/.ssh/kubevirt_known_hosts when not given");
  sub.add_option("-p,--port", flags.port, "The guest's port")->check(CLI::Range(1, 65535));
  sub.add_option("-t,--local-ssh-opts", flags.options, "Option for ssh, as one word: -t -oStrictHostKeyChecking=no");
}

}  // namespace

void add_ssh(CLI::App& app, Globals& globals, int& exit_code) {
  auto flags = std::make_shared<SshFlags>();
  CLI::App* ssh = app.add_subcommand("ssh", "Log in to a guest by ssh");
  ssh->add_option("target", flags->words, "[USER@]TYPE/NAME[/NAMESPACE]")->required()->expected(1);
  ssh->add_option("-c,--command", flags->command, "Command to run in place of a shell");
  add_common(*ssh, *flags);
  ssh->callback([&globals, &exit_code, flags] { exit_code = become(ssh_command(globals, *flags)); });

  auto copies = std::make_shared<SshFlags>();
  CLI::App* scp = app.add_subcommand("scp", "Copy files to or from a guest by ssh");
  scp->add_option("files", copies->words, "SOURCE DESTINATION; the guest's is [USER@]TYPE/NAME[/NAMESPACE]:PATH")->required()->expected(2);
  scp->add_flag("--recursive", copies->recursive, "Folders with what is in them");
  scp->add_flag("--preserve", copies->preserve, "Keep times and modes");
  add_common(*scp, *copies);
  scp->callback([&globals, &exit_code, copies] { exit_code = become(scp_command(globals, *copies)); });
}

}  // namespace nodevirt::virtctl
