// Does KVM really work here? A /dev/kvm that opens proves nothing: only a kernel that boots does.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"

namespace nodevirt::virt_handler {

class Accelerator {
 public:
  struct Options {
    std::filesystem::path state_dir;     ///< keeps the answer, per boot, QEMU and kernel
    std::filesystem::path probe_kernel;  ///< an ordinary 64-bit kernel; empty: no KVM
    std::string qemu = "qemu-system-x86_64";
    std::filesystem::path device = "/dev/kvm";
    std::chrono::milliseconds patience{5000};
  };
  explicit Accelerator(Options options);
  ~Accelerator();
  /// Finds the answer (from what was kept, or by trying) and wakes those who wait.
  Awaitable<void> run();
  std::optional<bool> known() const;
  /// Whether KVM works; waits until it is known.
  Awaitable<bool> kvm();
  std::string why() const;   ///< for the log

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// The command that boots `kernel`; it ends by itself, because the kernel finds no root and does not reboot.
std::vector<std::string> probe_command(const std::string& qemu, const std::string& kernel);

}  // namespace nodevirt::virt_handler
