// The program's command line.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pkg/base/result.hpp"
#include "standalone/apiserver/options.hpp"

namespace nodevirt::apiserver {

struct Flags {
  std::filesystem::path data_dir, logs_root;
  std::vector<std::string> listen;        ///< HOST:PORT
  std::vector<int> listen_fds;
  std::string tls_cert, tls_key;          ///< files
  std::vector<std::filesystem::path> manifests;
  Options options;
  bool help = false;
};

/// InvalidArgument says which flag is wrong.
Result<Flags> parse_flags(const std::vector<std::string>& args);
std::string usage();

}  // namespace nodevirt::apiserver
