// Unix sockets whose path is longer than sun_path: through the folder's descriptor.
#pragma once
#include <filesystem>

#include "pkg/base/file.hpp"

namespace nodevirt::rpc {

/// A short name for a socket of any path, good for as long as this lives.
class SocketPath {
 public:
  static Result<SocketPath> of(const std::filesystem::path& socket);
  /// "/proc/self/fd/N/NAME"
  const std::string& path() const { return path_; }

 private:
  Fd folder_;
  std::string path_;
};

}  // namespace nodevirt::rpc
