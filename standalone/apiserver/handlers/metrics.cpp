// GET /metrics: what the server holds, in Prometheus' text form.
#include <fmt/format.h>

#include "pkg/base/file.hpp"
#include "standalone/apiserver/handlers/call.hpp"

namespace nodevirt::apiserver {

Awaitable<void> handle_metrics(Call& call) {
  auto& s = call.s;
  std::string out = "# TYPE apiserver_storage_objects gauge\n";
  for (const auto& r : s.registry.all()) {
    if (r->virtual_kind || r->from_stored) continue;
    out += fmt::format("apiserver_storage_objects{{resource=\"{}\"}} {}\n", r->id, s.store->count(r->id));
  }
  out += fmt::format("# TYPE nodevirt_apiserver_revision counter\nnodevirt_apiserver_revision {}\n", s.store->revision());
  out += fmt::format("# TYPE nodevirt_apiserver_commits_total counter\nnodevirt_apiserver_commits_total {}\n", s.store->commits());
  out += fmt::format("# TYPE nodevirt_apiserver_history_events gauge\nnodevirt_apiserver_history_events {}\n", s.store->history().size());
  long pages = 0, resident = 0;
  if (auto statm = read_file("/proc/self/statm"); statm.ok() && std::sscanf(statm->c_str(), "%ld %ld", &pages, &resident) == 2)
    out += fmt::format("# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {}\n", resident * 4096);
  co_await send_json(call, 200, std::move(out), "text/plain; version=0.0.4");
}

}  // namespace nodevirt::apiserver
