// The target's end of migration streams: one port per node. A connection is let in when it comes from the virt-handler
// of the node that a migration into this one names, and goes to that migration's pod alone.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "pkg/base/clock.hpp"
#include "virt-handler/migration/stream/connection.hpp"
#include "virt-handler/migration/stream/pump.hpp"

namespace nodevirt::virt_handler::migration {

/// What is expected for one migration.
struct Route {
  std::string migration, instance;
  std::string source_node;
  /// Where the pod's sockets are: emptyDir folders and names below them.
  std::filesystem::path libvirt_dir, migration_dir;
  std::string libvirt_socket = "run/libvirt/libvirt-sock";
  std::string memory_socket = "memory.sock", disk_socket = "disk.sock";
  /// Memory and disks may come without TLS, from who knows this; empty: never.
  std::string plain_token;
  /// In post-copy the first listener stands on, in a thread that may wait for a page: who connects there is lost as soon as QEMU
  /// listens anew, and waits for ever. Nobody is let in before that.
  bool memory_waits = false;
  /// In post-copy a link that is silent is waited for.
  bool patient = false;
  /// A control connection was accepted.
  std::function<void(std::shared_ptr<net::FdStream>)> control;
};

class NodePort {
 public:
  struct Deps {
    Executor executor;
    StreamTls tls;
    std::size_t max_streams = 256;      ///< of one migration
    std::size_t max_openings = 128;     ///< connections that have not said yet what they are
  };
  explicit NodePort(Deps deps);
  ~NodePort();

  /// Port 0 takes a free one. AlreadyExists names who might hold it.
  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  Awaitable<void> run(StopToken stop);

  /// Replaces what was expected for that uid; streams that are open go on, and are patient if it is.
  void expect(Route route);
  /// Nothing more is let in for it; with `end_streams` what is open ends too.
  void forget(const std::string& migration, bool end_streams);
  enum class Flow { None, Silent, Open };
  /// Whether a stream of the kind is open into its pod now, and its source heard of (told of patient ones).
  Flow flow(const std::string& migration, Channel channel) const;
  std::size_t streams() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler::migration
