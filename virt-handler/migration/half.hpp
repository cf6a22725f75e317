// What source and target have in common of one migration: the instance as this node knows it, how it is read anew and
// written, and the loop's bell.
#pragma once
#include "pkg/runtime/signal.hpp"
#include "virt-handler/instances/objects.hpp"
#include "virt-handler/migration/instance_writer.hpp"
#include "virt-handler/migration/launcher_events.hpp"
#include "virt-handler/migration/state.hpp"

namespace nodevirt::virt_handler::migration {

/// On the program's one executor. Its coroutines hold what self() gives.
struct Half {
  Half(Clock& clock, client::Client client, std::shared_ptr<const InstanceObject> object);
  virtual ~Half() = default;

  /// The loop looks again.
  void poke() {
    dirty = true;
    wake.notify_all();
  }
  /// The informer's news; null: it is told of no more, and read.
  void changed(const Executor& executor, std::shared_ptr<const InstanceObject> now);
  Awaitable<void> refresh();
  /// Ends `storing`.
  Awaitable<void> store(MakePatch make);

  launcher::v1::DomainRequest domain() const;
  launcher::v1::MigrationRequest request() const;

  std::shared_ptr<const InstanceObject> object;   ///< the last one known
  std::string ns, name, instance;                 ///< of the instance
  std::string id;                                 ///< of the migration
  MigrationState state;
  Json stored;                                    ///< the instance as it was last read
  StopSource stop;
  runtime::Signal wake;
  bool dirty = false;                             ///< something happened since the loop last looked
  bool storing = false, reading = false;
  bool gone = false;                              ///< the instance is, or migrates anew
  bool over = false;

 protected:
  virtual std::shared_ptr<void> self() = 0;
  /// The instance as it was read, from wherever.
  virtual void feed(const Json& vmi) = 0;
  virtual void before_store() = 0;                ///< where a test may end the program
  virtual void after_store() = 0;

 private:
  Clock& clock_;
  client::Client client_;
};

}  // namespace nodevirt::virt_handler::migration
