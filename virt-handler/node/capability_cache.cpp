#include "virt-handler/node/capability_cache.hpp"

#include <cerrno>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/log.hpp"
#include "pkg/base/process.hpp"
#include "virt-handler/node/cpu_labels.hpp"
#include "virt-handler/node/program_identity.hpp"

namespace nodevirt::virt_handler {
namespace {

namespace fs = std::filesystem;

Json key_of(const CapabilityCacheOptions& options) {
  utsname kernel{};
  uname(&kernel);
  return Json{{"qemu", program_identity(options.qemu)}, {"libvirtd", program_identity(options.libvirtd)},
              {"kernel", fmt::format("{} {}", kernel.release, kernel.version)}, {"kvm", fs::exists(options.kvm)}, {"uid", options.launcher_uid}};
}

bool holds_files(const fs::path& dir) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error))
    if (entry.path().extension() == ".xml") return true;
  return false;
}

/// A device node as a launcher gets it: its own, because the node's keeps its owner and mode. Empty without KVM.
Result<fs::path> own_kvm_device(const CapabilityCacheOptions& options) {
  struct stat info {};
  if (stat(options.kvm.c_str(), &info) != 0 || !S_ISCHR(info.st_mode)) return fs::path();
  fs::path device = options.state_dir / "probe-kvm";
  unlink(device.c_str());
  if (mknod(device.c_str(), S_IFCHR | 0600, info.st_rdev) != 0) return errno_error(errno, "make the device " + device.string());
  if (chown(device.c_str(), options.launcher_uid, options.launcher_uid) != 0) return errno_error(errno, "give away " + device.string());
  return device;
}

/// The probing libvirt sees /dev as a launcher does, and dies with its pid namespace.
Command probing_command(const CapabilityCacheOptions& options, const fs::path& scratch, const fs::path& kvm, std::string what) {
  std::vector<std::string> argv{"bwrap", "--die-with-parent", "--unshare-pid", "--dev-bind", "/", "/", "--dev", "/dev"};
  if (!kvm.empty()) argv.insert(argv.end(), {"--dev-bind", kvm.string(), "/dev/kvm"});
  std::string uid = std::to_string(options.launcher_uid);
  argv.insert(argv.end(), {"--proc", "/proc", "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs",
                           "virsh", "-q", "-c", "qemu:///session", std::move(what)});
  Command command{.argv = std::move(argv), .timeout = std::chrono::seconds(60)};
  for (const char* name : {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"})
    command.env[name] = scratch.string();
  return command;
}

/// Of what virsh has said: the element of that name.
std::string_view element_of(std::string_view text, const std::string& name) {
  std::size_t begin = text.find("<" + name), end = text.rfind("</" + name + ">");
  return begin == std::string_view::npos || end == std::string_view::npos || end < begin ? "" : text.substr(begin, end + name.size() + 3 - begin);
}

Result<void> learn_cpu(const CapabilityCacheOptions& options, const fs::path& scratch, const fs::path& kvm, const std::string& said) {
  std::string capabilities(element_of(said, "domainCapabilities"));
  fs::path file = scratch / "domcapabilities.xml";
  NV_TRY_VOID(write_file_atomic(file, capabilities, 0644));
  auto expanded = check_output(probing_command(options, scratch, kvm, "hypervisor-cpu-baseline --features " + file.string()));
  std::string_view cpu = expanded.ok() ? element_of(*expanded, "cpu") : "";
  NV_TRY(auto labels, cpu_labels(capabilities, cpu));
  return keep_cpu_labels(options.state_dir, labels);
}

Result<void> copy_files(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    if (entry.path().extension() != ".xml") continue;
    NV_TRY(std::string text, read_file(entry.path(), 4u << 20));
    NV_TRY_VOID(write_file_atomic(to / entry.path().filename(), text, 0644));
  }
  if (error) return Error{Code::Internal, fmt::format("libvirt left no capability files: {}", error.message())};
  return {};
}

Result<void> fill(const CapabilityCacheOptions& options) {
  Json key = key_of(options);
  fs::path kept = options.state_dir / "capabilities.json";
  if (auto text = read_file(kept, 64u << 10); text.ok() && holds_files(options.dir) && cpu_labels_kept(options.state_dir))
    if (auto json = parse_json(*text); json.ok() && *json == key) return {};

  fs::path emulator = find_program(options.qemu);
  if (emulator.empty()) return Error{Code::NotFound, fmt::format("there is no {}: install QEMU", options.qemu)};
  NV_TRY_VOID(make_dirs(options.dir, 0755));
  TempDir scratch("nodevirt-capabilities");
  if (chown(scratch.path().c_str(), options.launcher_uid, options.launcher_uid) != 0)
    return errno_error(errno, "give the scratch folder to the launcher's user");
  NV_TRY(fs::path kvm, own_kvm_device(options));
  // The first makes libvirt look at every emulator that is installed, as it does at a daemon's first use.
  auto done = check_output(probing_command(options, scratch.path(), kvm, "capabilities; domcapabilities --emulatorbin " + emulator.string()));
  auto learnt = done.ok() ? learn_cpu(options, scratch.path(), kvm, *done) : Result<void>();
  if (!kvm.empty()) unlink(kvm.c_str());
  if (!done.ok()) return done.error().with_context("probe QEMU's capabilities");
  if (!learnt.ok()) {
    log::warning("what the processor can do is not known: {}", learnt.error().message);
    NV_TRY_VOID(keep_cpu_labels(options.state_dir, {}));
  }
  NV_TRY_VOID(copy_files(scratch.path() / "libvirt/qemu/cache/capabilities", options.dir));
  return write_file_atomic(kept, dump_json(key));
}

}  // namespace

Awaitable<Result<void>> fill_capability_cache(CapabilityCacheOptions options) {
  auto work = [options] { return fill(options); };
  co_return co_await blocking(work);
}

}  // namespace nodevirt::virt_handler
