#include "virt-handler/migration/half.hpp"

#include "pkg/base/log.hpp"

namespace nodevirt::virt_handler::migration {

Half::Half(Clock& clock, client::Client client, std::shared_ptr<const InstanceObject> o)
    : object(std::move(o)), ns(object->meta.ns), name(object->meta.name), instance(object->meta.uid), id(object->migration->uid),
      state(*object->migration), clock_(clock), client_(std::move(client)) {}

launcher::v1::DomainRequest Half::domain() const {
  launcher::v1::DomainRequest out;
  out.set_ns(ns);
  out.set_name(name);
  out.set_uid(instance);
  return out;
}

launcher::v1::MigrationRequest Half::request() const {
  launcher::v1::MigrationRequest out;
  *out.mutable_domain() = domain();
  out.set_migration_uid(id);
  return out;
}

void Half::changed(const Executor& executor, std::shared_ptr<const InstanceObject> now) {
  if (over) return;
  if (!now) {
    spawn(executor, refresh(), "migration: read the instance");
    return;
  }
  object = std::move(now);
  if (auto json = parse_json(object->text); json.ok()) feed(*json);
}

Awaitable<void> Half::refresh() {
  auto alive = self();
  if (reading) co_return;
  reading = true;
  auto now = co_await read_instance(client_, ns, name, instance);
  reading = false;
  if (!now.ok()) co_return;  // asked again by the next tick
  if (now->gone) {
    gone = true;
    poke();
  } else {
    feed(now->vmi);
  }
}

Awaitable<void> Half::store(MakePatch make) {
  auto alive = self();
  StopToken token = stop.get_token();
  before_store();
  auto written = co_await write_instance(client_, clock_, ns, name, instance, make, token);
  after_store();
  if (!written.ok()) {
    log::warning("{}/{}: migration {}: {}", ns, name, id, written.error().message);
    co_await clock_.sleep(std::chrono::milliseconds(500), token);
  } else if (written->gone) {
    gone = true;
  } else {
    feed(written->vmi);
  }
  storing = false;
  poke();
}

}  // namespace nodevirt::virt_handler::migration
