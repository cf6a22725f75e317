#include "virt-controller/options.hpp"

#include <charconv>
#include <functional>

#include <fmt/format.h>

namespace nodevirt::virt_controller {

namespace {

struct Flag {
  const char *name, *value, *help;
  std::function<bool(Options&, const std::string&)> set;
};

template <class T>
bool number(const std::string& text, T& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

auto into(std::string Options::*member) {
  return [member](Options& o, const std::string& v) { o.*member = v; return true; };
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = {
      {"kubeconfig", "FILE", "how to reach the API server (default: $KUBECONFIG, ~/.kube/config, or the pod's service account)", into(&Options::kubeconfig)},
      {"context", "NAME", "context of the kubeconfig", into(&Options::context)},
      {"launcher-image", "IMAGE", "image of launcher pods", into(&Options::launcher_image)},
      {"launcher-uid", "UID", "user that launcher pods run as (default 107)",
       [](Options& o, const std::string& v) { return number(v, o.launcher_uid) && o.launcher_uid > 0; }},
      {"capability-cache-dir", "FOLDER", "folder on the nodes with QEMU's capability cache", into(&Options::capability_cache_dir)},
      {"listen", "ADDRESS:PORT", "serve /healthz, /readyz and /metrics there", into(&Options::listen)},
      {"listen-fd", "N", "serve them on this listening socket",
       [](Options& o, const std::string& v) { return number(v, o.listen_fd) && o.listen_fd >= 0; }},
      {"leader-elect", "BOOL", "work only while holding the lease kubevirt/virt-controller (default true)",
       [](Options& o, const std::string& v) { o.leader_elect = v == "true"; return v == "true" || v == "false"; }},
  };
  return all;
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& args) {
  Options out;
  out.launcher_image = "nodevirt/virt-launcher:" NODEVIRT_VERSION;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--help" || arg == "-h") {
      out.help = true;
      return out;
    }
    if (!arg.starts_with("--")) return Error(Code::InvalidArgument, fmt::format("unexpected argument \"{}\"", arg));
    auto equals = arg.find('=');
    std::string name = arg.substr(2, equals == std::string::npos ? equals : equals - 2), value;
    const Flag* flag = nullptr;
    for (const auto& f : flags())
      if (name == f.name) flag = &f;
    if (!flag) return Error(Code::InvalidArgument, fmt::format("unknown flag --{}", name));
    if (equals != std::string::npos) value = arg.substr(equals + 1);
    else if (i + 1 < args.size()) value = args[++i];
    else return Error(Code::InvalidArgument, fmt::format("--{} needs a value", name));
    if (!flag->set(out, value)) return Error(Code::InvalidArgument, fmt::format("--{}: \"{}\" is not a {}", name, value, flag->value));
  }
  return out;
}

std::string usage() {
  std::string out = "Usage: virt-controller [flags]\n\n";
  for (const auto& f : flags()) out += fmt::format("  {:<30} {}\n", fmt::format("--{} {}", f.name, f.value), f.help);
  return out;
}

}  // namespace nodevirt::virt_controller
