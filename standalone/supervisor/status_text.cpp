#include "standalone/supervisor/status_text.hpp"

namespace nodevirt::supervisor {

std::string short_duration(double seconds) {
  auto s = static_cast<std::int64_t>(seconds);
  if (s < 10) return fmt::format("{:.1f}s", seconds);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{}m", s / 3600, s % 3600 / 60);
  return fmt::format("{}d{}h", s / 86400, s % 86400 / 3600);
}

std::string mebibytes(std::int64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

std::string status_text(const Json& status) {
  if (!bool_at(status, {"running"})) {
    const auto left = int_at(status, {"guestsLeft"});
    const std::string where = string_at(status, {"dataDir"});
    if (left > 0) return fmt::format("not running, but {} guest{} running; the state is in {} (`nodevirt up` takes over)\n", left, left == 1 ? " is left" : "s are left", where);
    return fmt::format("not running; the state is in {} (`nodevirt up` starts it)\n", where);
  }
  const Json* supervisor = find(status, {"supervisor"});
  const Json empty = Json::object();
  const Json& s = supervisor ? *supervisor : empty;
  auto uptime = [](const Json& j) {
    const Json* v = find(j, {"uptimeSeconds"});
    return v && v->is_number() ? short_duration(v->get<double>()) : std::string("-");
  };
  std::string out = fmt::format("nodevirt {} runs since {}, pid {}, {}{}\n\n", string_at(s, {"version"}), uptime(s), int_at(s, {"pid"}),
                                string_at(s, {"server"}), bool_at(s, {"stopping"}) ? ", stopping" : "");
  constexpr auto row = "{:<24} {:>8} {:>8} {:>9} {:>11}  {}\n";
  out += fmt::format(row, "PROGRAM", "PID", "UPTIME", "RESTARTS", "MEMORY", "LAST END");
  if (const Json* programs = find(s, {"programs"}); programs && programs->is_array())
    for (const Json& p : *programs) {
      const bool runs = int_at(p, {"pid"}) > 0;
      out += fmt::format(row, string_at(p, {"name"}), runs ? std::to_string(int_at(p, {"pid"})) : "-", runs ? uptime(p) : "-",
                         int_at(p, {"restarts"}), runs ? mebibytes(int_at(p, {"memoryBytes"})) : "-", string_at(p, {"lastEnd"}));
    }
  out += fmt::format(row, "supervisor", int_at(s, {"pid"}), uptime(s), 0, mebibytes(int_at(s, {"memoryBytes"})), "");
  out += fmt::format("memory of all programs: {}\n\n", mebibytes(int_at(status, {"memoryBytes"})));
  if (std::string error = string_at(status, {"apiError"}); !error.empty()) return out + "the API server does not answer: " + error + "\n";
  if (const Json* nodes = find(status, {"nodes"}); nodes && nodes->is_array())
    for (const Json& n : *nodes)
      out += fmt::format("node {}: {}{}\n", string_at(n, {"name"}), bool_at(n, {"ready"}) ? "ready" : "not ready",
                         bool_at(n, {"cordoned"}) ? ", cordoned" : "");
  out += fmt::format("virtual machines: {}, instances: {}, of which run: {}\n", int_at(status, {"virtualMachines"}),
                     int_at(status, {"guests", "instances"}), int_at(status, {"guests", "running"}));
  if (bool_at(status, {"allowUserfaultfd"}))
    out += bool_at(status, {"unprivilegedUserfaultfd"}) ? "post-copy: vm.unprivileged_userfaultfd is 1 on this machine, as --allow-userfaultfd asked\n"
                                                        : "post-copy: not possible: somebody has set vm.unprivileged_userfaultfd back on this machine\n";
  return out;
}

}  // namespace nodevirt::supervisor
