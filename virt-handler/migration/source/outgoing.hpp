// One migration out of this node: from the target's readiness to the guest's running on exactly one side.
#pragma once
#include <filesystem>
#include <memory>

#include "pkg/client/client.hpp"
#include "virt-handler/instances/launchers.hpp"
#include "virt-handler/migration/state.hpp"
#include "virt-handler/migration/stream/tls.hpp"

namespace nodevirt::virt_handler::migration {

/// On the program's one executor. It may be made anew at any moment of a migration (this program was restarted):
/// what was decided stands in the instance, in the launcher's record and in the journal.
class Outgoing {
 public:
  struct Deps {
    Executor executor;
    Clock& clock;
    client::Client client;
    Launchers& launchers;
    StreamTls tls;
    std::filesystem::path journal;       ///< folder
    unsigned launcher_uid = 107;
    std::string node;
    /// The instance is to be looked at again; it ended, and may be dropped.
    std::function<void(std::string key)> changed;
    /// Something worth an event of the instance: type, reason, message; told once for each migration.
    std::function<void(const InstanceObject&, std::string type, std::string reason, std::string message, std::string migration)> event;
  };
  /// Begins at once. `object` has a migrationState that names this node as source and is not finished.
  Outgoing(Deps deps, std::shared_ptr<const InstanceObject> object);
  /// Stops; nothing of the guest is touched by that.
  ~Outgoing();

  /// The instance changed; null: it is not among this node's any more.
  void instance(std::shared_ptr<const InstanceObject> object);
  const std::string& uid() const;        ///< of the migration
  bool over() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler::migration
