#include "virt-handler/options.hpp"

#include <charconv>
#include <functional>
#include <unistd.h>

#include <fmt/format.h>

namespace nodevirt::virt_handler {
namespace {

struct Flag {
  std::string_view name, value, help;
  std::function<bool(Options&, const std::string&)> set;
};

template <class T>
bool parse_number(const std::string& text, T& out) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc{} && end == text.data() + text.size();
}

bool read_address(const std::string& text, std::string& address, std::uint16_t& port) {
  std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  address = text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  return !address.empty() && parse_number(text.substr(colon + 1), port);
}

bool set_listen(Options& options, const std::string& text) { return read_address(text, options.listen_address, options.listen_port); }

bool set_migration_listen(Options& options, const std::string& text) {
  return read_address(text, options.migration_listen_address, options.migration_listen_port);
}

auto text_into(std::string Options::*member) {
  return [member](Options& options, const std::string& text) {
    options.*member = text;
    return !text.empty();
  };
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = {
      {"kubeconfig", "FILE", "how to reach the API server; the pod's service account when not given", text_into(&Options::kubeconfig)},
      {"node-name", "NAME", "this node's name; the host's when not given", text_into(&Options::node_name)},
      {"kubelet-root", "DIR", "where pods' volumes are", text_into(&Options::kubelet_root)},
      {"state-dir", "DIR", "what is kept over restarts", text_into(&Options::state_dir)},
      {"capability-cache-dir", "DIR", "QEMU's capabilities for the launchers; filled here", text_into(&Options::capability_cache_dir)},
      {"launcher-uid", "UID", "user that launchers run as", [](Options& o, const std::string& t) { return parse_number(t, o.launcher_uid); }},
      {"listen", "IP:PORT", "where virt-api calls; port 0 takes a free one", set_listen},
      {"advertise-address", "IP:PORT", "what virt-api is told; the listening address when not given", text_into(&Options::advertise_address)},
      {"migration-listen", "IP:PORT", "where other nodes bring migrations; the address of --listen and a free port when not given", set_migration_listen},
      {"migration-advertise-address", "IP:PORT", "what other nodes are told; the listening address when not given", text_into(&Options::migration_advertise_address)},
      {"tls-cert", "FILE", "certificate of the port, common name virt-handler", text_into(&Options::tls_cert)},
      {"tls-key", "FILE", "its key", text_into(&Options::tls_key)},
      {"client-ca", "FILE", "who signed virt-api's certificate", text_into(&Options::client_ca)},
      {"agent-socket", "PATH", "unix socket for node agents; none when not given", text_into(&Options::agent_socket)},
      {"kvm-probe-kernel", "FILE", "an ordinary 64-bit kernel: KVM is used if it boots; never when not given", text_into(&Options::kvm_probe_kernel)},
  };
  return all;
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& args) {
  Options options;
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::string arg = args[i];
    if (arg == "--help" || arg == "-h") {
      options.help = true;
      return options;
    }
    if (!arg.starts_with("--"))
      return Error{Code::InvalidArgument, fmt::format("virt-handler takes no argument \"{}\": see --help", arg)};
    std::size_t equals = arg.find('=');
    std::string name = arg.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Flag* flag = nullptr;
    for (const Flag& candidate : flags())
      if (candidate.name == name) flag = &candidate;
    if (!flag) return Error{Code::InvalidArgument, fmt::format("virt-handler has no flag --{}: see --help", name)};
    std::string value;
    if (equals != std::string::npos) value = arg.substr(equals + 1);
    else if (i + 1 < args.size()) value = args[++i];
    else return Error{Code::InvalidArgument, fmt::format("--{} wants a value ({})", name, flag->value)};
    if (!flag->set(options, value)) return Error{Code::InvalidArgument, fmt::format("--{}: \"{}\" is no {}", name, value, flag->value)};
  }
  if (options.node_name.empty()) {
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    options.node_name = host;
  }
  bool tls = !options.tls_cert.empty();
  if (tls != !options.tls_key.empty() || tls != !options.client_ca.empty())
    return Error{Code::InvalidArgument, "--tls-cert, --tls-key and --client-ca are given together, or none of them"};
  return options;
}

std::string options_help() {
  std::string out = "virt-handler: the instances of one node\n\nFlags:\n";
  for (const Flag& flag : flags()) out += fmt::format("  --{:<32} {}\n", fmt::format("{} {}", flag.name, flag.value), flag.help);
  return out;
}

}  // namespace nodevirt::virt_handler
