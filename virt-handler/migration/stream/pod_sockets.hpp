// The source's end of migration streams: unix sockets in the source's pod, to which its libvirtd and QEMU connect; each
// connection is carried to the target's virt-handler.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/file.hpp"
#include "virt-handler/migration/stream/connection.hpp"
#include "virt-handler/migration/stream/pump.hpp"

namespace nodevirt::virt_handler::migration {

/// A listening unix socket of any path. The folder is opened first, then used through its descriptor: what stands
/// at the name is removed, no link is followed. The socket belongs to `uid`, mode 0600.
Result<Fd> listen_in_folder(const std::filesystem::path& folder, const std::string& name, unsigned uid);

class PodSockets {
 public:
  struct Deps {
    Executor executor;
    StreamTls tls;
    std::filesystem::path folder;         ///< the pod's emptyDir `migration`
    unsigned launcher_uid = 107;
    std::string migration, instance;
    std::string target_node, address;
    std::string plain_token;              ///< memory and disks go without TLS when it is set
    std::size_t max_streams = 256;
    /// A connection could not be carried on: why.
    std::function<void(Error)> failed;
  };
  explicit PodSockets(Deps deps);
  /// As stop().
  ~PodSockets();

  struct Names { std::string libvirt = "source-libvirt.sock", memory = "memory.sock", disk = "disk.sock"; };
  Result<void> listen(const Names& names);
  /// For post-copy: from now on the target is at `address`, a connection for memory is kept until the target takes it or
  /// its other end goes, and a link that is silent is waited for. QEMU 7.2 waits for ever on one that breaks before it was answered.
  void keep_trying(const std::string& address);
  /// Accepts nothing more; what is open goes on.
  void stop();
  /// Ends what is open too.
  void end_streams();
  /// Ends, when it is called, the streams that are open now, and none that are made later.
  std::function<void()> ending_these() const;
  std::size_t streams() const;
  std::uint64_t sent() const;       ///< bytes of memory and disks that the target's node was given, by the streams that have ended too

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler::migration
