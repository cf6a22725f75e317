#include "virt-launcher/marks.hpp"

#include <fstream>

#include "pkg/base/log.hpp"

namespace nodevirt::virt_launcher {

void write_mark(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::path half = path.string() + ".new";
  std::ofstream(half, std::ios::binary) << content;
  std::error_code ec;
  std::filesystem::rename(half, path, ec);
  if (ec) log::error("write {}: {}", path.string(), ec.message());
}

bool mark_exists(const std::filesystem::path& path) {
  std::error_code ec;
  return std::filesystem::exists(path, ec);
}

}  // namespace nodevirt::virt_launcher
