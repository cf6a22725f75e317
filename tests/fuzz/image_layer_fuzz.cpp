// fuzz: standalone_images
// Layers, manifests and names of images, which come from registries and from people.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pkg/base/check.hpp"
#include "pkg/base/file.hpp"
#include "standalone/images/fetch.hpp"
#include "standalone/images/layer.hpp"

using namespace nodevirt;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const TempDir dir("nvlayer");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size < 2048) {
    if (auto ref = images::parse_reference(text); ref.ok()) NV_CHECK(!ref->key().empty() && ref->key()[0] != '-');
    (void)images::manifest_layers(text, dir.path());
  }
  const auto root = dir.path() / "root";
  std::filesystem::create_directory(root);
  Fd blob(::memfd_create("layer", MFD_CLOEXEC));
  if (::write(blob.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  images::DiskExtractor extractor(root, images::Limits{.max_bytes = 1 << 20, .max_stream = 8 << 20, .max_entries = 1000, .max_depth = 8});
  (void)extractor.apply("/proc/self/fd/" + std::to_string(blob.get()), "");
  for (const auto& e : std::filesystem::recursive_directory_iterator(root)) NV_CHECK(!e.is_symlink());
  for (const auto& e : std::filesystem::directory_iterator(dir.path())) NV_CHECK(e.path() == root);
  std::filesystem::remove_all(root);
  return 0;
}
