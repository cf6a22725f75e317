#include "standalone/controllers/controllers.hpp"

#include "standalone/apiserver/server.hpp"
#include "standalone/controllers/aggregated_roles.hpp"
#include "standalone/controllers/budgets.hpp"
#include "standalone/controllers/event_age.hpp"
#include "standalone/controllers/garbage_collector.hpp"
#include "standalone/controllers/namespaces.hpp"
#include "standalone/controllers/quotas.hpp"

namespace nodevirt::controllers {

namespace {

Awaitable<void> keep(std::shared_ptr<Loop> loop, StopToken stop) { co_await loop->run(stop); }

}  // namespace

Awaitable<void> run(apiserver::Server& server, StopToken stop) {
  auto& s = server.state();
  std::vector<std::pair<const char*, std::shared_ptr<Loop>>> all;
  all.emplace_back("namespace ends", std::make_shared<NamespaceEnds>(s));
  all.emplace_back("namespace starts", std::make_shared<NamespaceStarts>(s));
  all.emplace_back("budgets", std::make_shared<Budgets>(s));
  all.emplace_back("quotas", std::make_shared<QuotaStatus>(s));
  all.emplace_back("aggregated roles", std::make_shared<AggregatedRoles>(s));
  all.emplace_back("event age", std::make_shared<EventAge>(s));
  for (auto& [name, loop] : all) {
    auto task = keep(loop, stop);
    spawn(s.executor, std::move(task), name);
  }
  auto collector = std::make_shared<GarbageCollector>(s);
  co_await keep(collector, stop);
}

}  // namespace nodevirt::controllers
