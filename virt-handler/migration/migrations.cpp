#include "virt-handler/migration/migrations.hpp"

namespace nodevirt::virt_handler::migration {

Migrations::Migrations(Deps deps) : deps_(std::move(deps)), port_({.executor = deps_.executor, .tls = deps_.tls}) {}
Migrations::~Migrations() = default;

Result<std::uint16_t> Migrations::listen(const std::string& address, std::uint16_t port) { return port_.listen(address, port); }

Awaitable<void> Migrations::run(StopToken stop) {
  auto end = [this] {
    stopped_ = true;
    outgoing_.clear();
    incoming_.clear();
  };
  std::stop_callback on_stop(stop, end);
  co_await port_.run(stop);
}

/// Sessions that came to their end.
void Migrations::collect() {
  std::erase_if(outgoing_, [](const auto& item) { return item.second->over(); });
  std::erase_if(incoming_, [](const auto& item) { return item.second->over(); });
}

// One that has ended may still be winding down when the next one of the instance begins.
void Migrations::look_at_source(const std::string& uid, const std::shared_ptr<const InstanceObject>& now) {
  for (const auto& [key, session] : outgoing_)
    if (key.starts_with(uid + "/")) session->instance(now);
  bool leaves = now && now->migration && !now->migration->finished() && now->migration->source_node == deps_.node &&
                now->migration->target_node != deps_.node && now->view->status.node_name == deps_.node;
  if (!leaves || outgoing_.contains(uid + "/" + now->migration->uid)) return;
  Outgoing::Deps deps{.executor = deps_.executor, .clock = deps_.clock, .client = deps_.client, .launchers = deps_.launchers, .tls = deps_.tls,
                      .journal = deps_.state_dir / "migrations", .launcher_uid = deps_.launcher_uid, .node = deps_.node, .changed = deps_.changed,
                      .event = deps_.event};
  outgoing_[uid + "/" + now->migration->uid] = std::make_unique<Outgoing>(std::move(deps), now);
}

void Migrations::look_at_target(const std::string& uid, const std::shared_ptr<const InstanceObject>& now) {
  for (const auto& [key, session] : incoming_)
    if (key.starts_with(uid + "/")) session->instance(now);
  bool comes = now && now->migration && !now->migration->finished() && now->migration->target_node == deps_.node &&
               now->migration->source_node != deps_.node;
  if (!comes || incoming_.contains(uid + "/" + now->migration->uid)) return;
  Incoming::Deps deps{.executor = deps_.executor, .clock = deps_.clock, .client = deps_.client, .launchers = deps_.launchers, .port = port_,
                      .address = address_, .node = deps_.node, .kvm = deps_.kvm, .changed = deps_.changed, .event = deps_.event};
  incoming_[uid + "/" + now->migration->uid] = std::make_unique<Incoming>(std::move(deps), now);
}

void Migrations::ours_changed(const std::shared_ptr<const InstanceObject>& old, const std::shared_ptr<const InstanceObject>& now) {
  if (stopped_) return;
  collect();
  look_at_source(now ? now->meta.uid : old->meta.uid, now);
}

void Migrations::coming_changed(const std::shared_ptr<const InstanceObject>& old, const std::shared_ptr<const InstanceObject>& now) {
  if (stopped_) return;
  collect();
  look_at_target(now ? now->meta.uid : old->meta.uid, now);
}

}  // namespace nodevirt::virt_handler::migration
