#include <iostream>
#include <sys/mount.h>
#include <unistd.h>

#include "pkg/base/file.hpp"
#include "standalone/supervisor/control.hpp"
#include "standalone/supervisor/flags.hpp"
#include "standalone/supervisor/pods_left.hpp"
#include "standalone/supervisor/up.hpp"

namespace nodevirt::supervisor {
namespace fs = std::filesystem;
namespace {

bool confirmed(const DataDir& data, bool keep_images) {
  std::cout << fmt::format("This removes every virtual machine, every disk{} and every certificate under {}.\nType yes to go on: ",
                           keep_images ? "" : ", every image", data.root.string())
            << std::flush;
  std::string line;
  return std::getline(std::cin, line) && line == "yes";
}

Result<void> unmount_all(const std::string& folder) {
  for (int round = 0; round < 3; ++round) {
    NV_TRY(std::string info, read_file("/proc/self/mountinfo", 16 << 20));
    auto mounts = mounts_under(info, folder);
    if (mounts.empty()) return {};
    for (const std::string& m : mounts)
      if (umount2(m.c_str(), UMOUNT_NOFOLLOW) != 0 && umount2(m.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
        return errno_error(errno, "unmount " + m);
  }
  // Removing files through a mount would remove somebody else's.
  return Error{Code::FailedPrecondition, "there are still mounts under " + folder};
}

Result<void> remove_state(const DataDir& data, const std::string& run_dir, bool keep_images) {
  NV_TRY_VOID(unmount_all(data.root.string()));
  NV_TRY_VOID(unmount_all(run_dir));
  std::error_code error;
  // instance.json goes last: what an interrupted reset leaves can be reset again.
  std::vector<fs::path> parts{data.root / "nodes", data.root / "apiserver", data.root / "volumes", data.root / "qemu-capabilities", data.pki(),
                              data.kubeconfig(), data.log(), data.control(), run_dir};
  if (!keep_images) parts.push_back(data.root / "images");
  parts.push_back(data.instance());
  parts.push_back(data.run());
  for (const fs::path& p : parts) {
    fs::remove_all(p, error);
    if (error) return Error{Code::Internal, fmt::format("remove {}: {}", p.string(), error.message())};
  }
  fs::remove(data.root, error);   // unless there is something else in it
  return {};
}

}  // namespace

int reset(std::vector<std::string> args) {
  std::string data_dir(kDefaultDataDir);
  bool yes = false, keep_images = false;
  std::vector<Flag> flags{string_flag("data-dir", 0, "DIR", "which instance (default /var/lib/nodevirt)", data_dir),
                          switch_flag("yes", 'y', "do not ask", yes),
                          switch_flag("keep-images", 0, "leave the image cache", keep_images)};
  auto rest = parse_flags(args, flags);
  if (!rest.ok() && rest.error().reason == "Help") {
    std::cout << usage("nodevirt reset [flags]", "Removes the state of an instance that is down: machines, disks, images, certificates.", flags);
    return 0;
  }
  if (!rest.ok()) return complain(rest.error());
  if (!rest->empty()) return complain({Code::InvalidArgument, "reset takes no argument: " + rest->front()});
  const DataDir data = data_dir_at(data_dir);
  if (auto root = require_root("nodevirt reset"); !root.ok()) return complain(root.error());
  auto instance = load_instance(data);
  if (!instance.ok() && instance.error().code == Code::NotFound) {
    std::cout << "nothing was set up in " << data.root.string() << "\n";
    return 0;
  }
  auto lock = take_lock(data);
  if (!lock.ok()) return complain(lock.error().with_context("run `nodevirt down` first"));
  if (auto left = pods_left(data); !left.empty())
    return complain({Code::FailedPrecondition, fmt::format("{} guests still run; `nodevirt down` stops them", left.size())});
  if (!yes && !isatty(0)) return complain({Code::InvalidArgument, "reset removes everything: say --yes"});
  if (!yes && !confirmed(data, keep_images)) {
    std::cout << "nothing was removed\n";
    return 1;
  }
  const std::string hash = instance.ok() ? instance->hash : nodes::instance_hash(data.root.string());
  auto gone = instance.ok() ? nodes::tear_down(instance->whole_topology()) : nodes::tear_down_remains(hash, data.root == kDefaultDataDir);
  if (!gone.ok()) return complain(gone.error());
  if (auto removed = remove_state(data, run_dir_of(hash), keep_images);
      !removed.ok()) return complain(removed.error());
  std::cout << "[ok] removed the state in " << data.root.string() << "\n";
  return 0;
}

int kubeconfig(std::vector<std::string> args) {
  std::string data_dir(kDefaultDataDir);
  bool raw = false;
  std::vector<Flag> flags{string_flag("data-dir", 0, "DIR", "which instance (default /var/lib/nodevirt)", data_dir),
                          switch_flag("raw", 0, "print its content", raw)};
  auto rest = parse_flags(args, flags);
  if (!rest.ok() && rest.error().reason == "Help") {
    std::cout << usage("nodevirt kubeconfig [flags]", "Prints the path of the administrator's kubeconfig:\n  export KUBECONFIG=$(nodevirt kubeconfig)", flags);
    return 0;
  }
  if (!rest.ok()) return complain(rest.error());
  const fs::path path = data_dir_at(data_dir).kubeconfig();
  if (!fs::exists(path))
    return complain({Code::NotFound, fmt::format("{} does not exist: nothing was set up there yet (`nodevirt up` does)", path.string())});
  if (!raw) {
    std::cout << path.string() << "\n";
    return 0;
  }
  auto text = read_file(path, 1 << 20);
  if (!text.ok()) return complain({Code::PermissionDenied, fmt::format("{} belongs to the administrator: run this with sudo", path.string())});
  std::cout << *text;
  return 0;
}

}  // namespace nodevirt::supervisor
