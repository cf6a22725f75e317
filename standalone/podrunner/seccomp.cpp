#include "standalone/podrunner/seccomp.hpp"

#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>

namespace nodevirt::podrunner {

namespace {

/// As the kernel takes it.
Result<std::string> compile() {
  std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (!filter) return Error(Code::Internal, "cannot make a seccomp filter");
#if defined(__x86_64__)
  // Programs of the other word size would slip past the numbers below; launchers have none.
  seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
#endif
  static constexpr const char* kDenied[] = {
      "acct", "add_key", "adjtimex", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module",
      "fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "get_kernel_syms", "init_module",
      "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr",
      "move_mount", "move_pages", "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open",
      "pivot_root", "process_vm_readv", "process_vm_writev", "query_module", "quotactl", "quotactl_fd", "reboot",
      "request_key", "setdomainname", "sethostname", "setns", "settimeofday", "stime", "swapoff", "swapon", "_sysctl",
      "syslog", "umount", "umount2", "unshare", "uselib", "ustat", "vhangup", "vm86", "vm86old", "chroot", "ptrace"};
  for (const char* name : kDenied) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;
    seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0);
  }
  constexpr std::uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC |
                                        CLONE_NEWUTS | CLONE_NEWCGROUP;
  for (int bit = 0; bit < 32; ++bit)
    if (const auto flag = std::uint64_t(1) << bit; kNamespaces & flag)
      seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
  seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  // TIOCSTI and TIOCLINUX put characters into somebody's terminal.
  for (const std::uint64_t request : {0x5412ull, 0x541Cull})
    seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffull, request));

  Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return errno_error(errno, "make a seccomp filter");
  if (const int rc = seccomp_export_bpf(filter.get(), file.get()); rc < 0) return errno_error(-rc, "compile the seccomp filter");
  std::string program(64 << 10, '\0');
  const auto size = ::pread(file.get(), program.data(), program.size(), 0);
  if (size <= 0 || size == static_cast<ssize_t>(program.size())) return Error(Code::Internal, "the seccomp filter cannot be read back");
  program.resize(static_cast<std::size_t>(size));
  return program;
}

}  // namespace

Result<Fd> seccomp_filter() {
  static const Result<std::string> program = compile();
  if (!program.ok()) return program.error();
  Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file || ::write(file.get(), program->data(), program->size()) != static_cast<ssize_t>(program->size()) ||
      ::lseek(file.get(), 0, SEEK_SET) < 0)
    return errno_error(errno, "write the seccomp filter");
  return file;
}

}  // namespace nodevirt::podrunner
