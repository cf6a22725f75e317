#include "virt-api/registration/register.hpp"

#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_api {

namespace {

Awaitable<Result<void>> apply(client::Client client, Registration r) {
  auto now = co_await client.get(r.resource, "", r.name);
  if (!now.ok() && now.error().code != Code::NotFound) co_return now.error();
  if (!now.ok()) {
    if (r.must_exist) co_return now.error();
    auto made = co_await client.create(r.resource, "", r.object);
    if (!made.ok()) co_return made.error();
    co_return Result<void>{};
  }
  if (already_there(*now, r.object)) co_return Result<void>{};
  Json patch = r.object;
  if (!r.must_exist) {
    patch.erase("apiVersion");
    patch.erase("kind");
  }
  auto patched = co_await client.patch(r.resource, "", r.name, client::PatchType::Merge, patch);
  if (!patched.ok()) co_return patched.error();
  co_return Result<void>{};
}

}  // namespace

Awaitable<void> register_all(client::Client client, Clock& clock, std::vector<Registration> all, std::shared_ptr<bool> done,
                             StopToken stop) {
  for (const auto& r : all) {
    auto pause = std::chrono::milliseconds(50);
    std::string last;
    for (;;) {
      auto applied = co_await apply(client, r);
      if (applied.ok()) break;
      // Said once per cause: a server that is still starting would fill the log.
      if (applied.error().message != last) log::warning("register {} {}: {}; trying again", r.resource.kind, r.name, applied.error().message);
      last = applied.error().message;
      bool slept = co_await clock.sleep(pause, stop);
      if (!slept) co_return;
      pause = std::min(pause * 2, std::chrono::milliseconds(2000));
    }
  }
  *done = true;
  log::info("registered webhooks, APIServices and conversion");
}

}  // namespace nodevirt::virt_api
