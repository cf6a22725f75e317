// The live migrations from and to this node.
#pragma once
#include <map>
#include <memory>

#include "virt-handler/migration/source/outgoing.hpp"
#include "virt-handler/migration/target/incoming.hpp"

namespace nodevirt::virt_handler::migration {

class Migrations {
 public:
  struct Deps {
    Executor executor;
    Clock& clock;
    client::Client client;
    Launchers& launchers;
    StreamTls tls;
    std::filesystem::path state_dir;
    unsigned launcher_uid = 107;
    std::string node;
    std::function<Awaitable<bool>()> kvm;
    std::function<void(std::string key)> changed;
    std::function<void(const InstanceObject&, std::string type, std::string reason, std::string message, std::string migration)> event;
  };
  explicit Migrations(Deps deps);
  ~Migrations();

  /// Port 0 takes a free one; it is free again after stop.
  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  /// As other nodes reach the port: "HOST:PORT". Before any instance is told of.
  void set_address(std::string address) { address_ = std::move(address); }
  Awaitable<void> run(StopToken stop);

  /// An instance of this node changed; `now` is null when it is not (any more).
  void ours_changed(const std::shared_ptr<const InstanceObject>& old, const std::shared_ptr<const InstanceObject>& now);
  /// An instance that is on its way to this node.
  void coming_changed(const std::shared_ptr<const InstanceObject>& old, const std::shared_ptr<const InstanceObject>& now);

  std::size_t outgoing() const { return outgoing_.size(); }
  std::size_t incoming() const { return incoming_.size(); }

 private:
  void look_at_source(const std::string& uid, const std::shared_ptr<const InstanceObject>& now);
  void look_at_target(const std::string& uid, const std::shared_ptr<const InstanceObject>& now);
  void collect();

  Deps deps_;
  std::string address_;
  NodePort port_;
  std::map<std::string, std::unique_ptr<Outgoing>> outgoing_;   ///< by INSTANCE-UID/MIGRATION-UID
  std::map<std::string, std::unique_ptr<Incoming>> incoming_;
  bool stopped_ = false;
};

}  // namespace nodevirt::virt_handler::migration
