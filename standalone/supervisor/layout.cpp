#include "standalone/supervisor/layout.hpp"

#include <cstdlib>

namespace nodevirt::supervisor {
namespace fs = std::filesystem;
namespace {

fs::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? fs::path(value) : fs::path();
}

/// A build folder keeps the launcher's programs apart; pods want them side by side.
bool has_launcher(const fs::path& dir) { return fs::exists(dir / "virt-launcher") && !fs::is_directory(dir / "virt-launcher"); }

/// The one that was installed for the purpose, or the machine's own.
fs::path probe_kernel(const fs::path& share) {
  if (fs::path given = from_environment("NODEVIRT_PROBE_KERNEL"); !given.empty()) return given;
  if (fs::exists(share / "kvm-probe/vmlinuz")) return share / "kvm-probe/vmlinuz";
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator("/boot", error))
    if (entry.path().filename().string().starts_with("vmlinuz-") && entry.path().filename().string().ends_with("amd64")) found.push_back(entry.path());
  return found.empty() ? fs::path() : *std::max_element(found.begin(), found.end());
}

}  // namespace

Result<Installation> find_installation() {
  std::error_code error;
  Installation in;
  in.self = fs::read_symlink("/proc/self/exe", error);
  if (error) return Error{Code::Internal, "read /proc/self/exe: " + error.message()};
  const fs::path bin = in.self.parent_path(), prefix = bin.parent_path();

  in.programs = from_environment("NODEVIRT_PROGRAM_DIR");
  for (const fs::path& p : {prefix / "lib/nodevirt", prefix / "virt-launcher", bin})
    if (in.programs.empty() && has_launcher(p)) in.programs = p;
  if (in.programs.empty()) in.programs = prefix / "lib/nodevirt";

  in.share = from_environment("NODEVIRT_SHARE_DIR");
  std::vector<fs::path> shares{prefix / "share/nodevirt"};
#ifdef NODEVIRT_SOURCE_DIR
  shares.push_back(NODEVIRT_SOURCE_DIR);
#endif
  for (const fs::path& p : shares)
    if (in.share.empty() && fs::is_directory(p / "manifests/crds")) in.share = p;
  if (in.share.empty())
    return Error{Code::FailedPrecondition, fmt::format("the folder manifests was not found in {}; is the installation complete? "
                                                       "(NODEVIRT_SHARE_DIR names another place)", (prefix / "share/nodevirt").string())};
  in.probe_kernel = probe_kernel(in.share);
  return in;
}

DataDir data_dir_at(const std::string& path) {
  fs::path p = fs::absolute(path.empty() ? fs::path(kDefaultDataDir) : fs::path(path)).lexically_normal();
  if (p.filename().empty()) p = p.parent_path();
  std::error_code error;
  fs::path real = fs::weakly_canonical(p, error);
  return DataDir{error ? p : real};
}

}  // namespace nodevirt::supervisor
