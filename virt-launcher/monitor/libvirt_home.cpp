#include "virt-launcher/monitor/libvirt_home.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <string_view>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace nodevirt::monitor {

namespace {

bool make_folders(const std::string& path) {
  for (std::size_t at = 1; at != std::string::npos; ) {
    at = path.find('/', at + 1);
    if (mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST) return false;
  }
  return true;
}

bool write_once(const std::string& path, const std::string& content) {
  if (access(path.c_str(), F_OK) == 0) return true;
  std::string temporary = path + ".new";
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool ok = write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  close(fd);
  return ok && rename(temporary.c_str(), path.c_str()) == 0;
}

std::string random_uuid() {
  unsigned char b[16] = {};
  if (getrandom(b, sizeof b, 0) != sizeof b) return {};
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  char text[37];
  std::snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  return text;
}

// The node may have emulators of other machines, too, whose caches nobody here reads.
bool is_foreign(int file) {
  utsname machine{};
  char head[512];
  ssize_t n = pread(file, head, sizeof head, 0);
  if (uname(&machine) != 0 || n <= 0) return false;
  std::string_view text(head, static_cast<std::size_t>(n));
  return text.find("/qemu-system-") != text.npos && text.find("/qemu-system-" + std::string(machine.machine) + "<") == text.npos;
}

// At most 1 MiB: the real ones have some 200 kB. What is copied is only a cache: libvirt checks whether it still fits.
void copy_small_file(const std::string& from, const std::string& to) {
  int in = open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (in < 0) return;
  struct stat st {};
  if (fstat(in, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < (1 << 20) && access(to.c_str(), F_OK) != 0 && !is_foreign(in)) {
    std::string temporary = to + ".new";
    int out = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t left = st.st_size;
    for (ssize_t n = 1; out >= 0 && left > 0 && n > 0; left -= n)
      if ((n = sendfile(out, in, nullptr, static_cast<std::size_t>(left))) <= 0) break;
    if (out >= 0) close(out);
    if (out < 0 || left > 0 || rename(temporary.c_str(), to.c_str()) != 0) unlink(temporary.c_str());
  }
  close(in);
}

void copy_capabilities(const std::string& from, const std::string& to) {
  DIR* d = opendir(from.c_str());
  if (!d) return;
  int left = 16;
  while (dirent* e = readdir(d)) {
    std::string name = e->d_name;
    if (name.size() > 4 && name.compare(name.size() - 4, 4, ".xml") == 0 && left-- > 0)
      copy_small_file(from + "/" + name, to + "/" + name);
  }
  closedir(d);
}

// libvirtd loads every driver that it finds; a folder with QEMU's alone saves it time and memory.
void link_driver(const std::string& folder) {
  glob_t found{};
  if (glob("/usr/lib*/*/libvirt/connection-driver/libvirt_driver_qemu.so", 0, nullptr, &found) == 0 ||
      glob("/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so", 0, nullptr, &found) == 0) {
    if (symlink(found.gl_pathv[0], (folder + "/libvirt_driver_qemu.so").c_str()) != 0 && errno != EEXIST) rmdir(folder.c_str());
  } else {
    rmdir(folder.c_str());
  }
  globfree(&found);
}

}  // namespace

bool prepare_libvirt_home(const std::string& dir, const std::string& capability_cache, std::string& error) {
  std::string config = dir + "/config/libvirt", cache = dir + "/cache/libvirt/qemu/cache/capabilities";
  for (const std::string& path : {dir + "/run", config, cache, dir + "/drivers"})
    if (!make_folders(path)) {
      error = "make " + path + ": " + std::strerror(errno);
      return false;
    }
  chmod((dir + "/run").c_str(), 0700);
  std::string daemon =
      "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n"
      "min_workers = 1\nmax_workers = 6\nprio_workers = 1\nmax_clients = 16\nmax_anonymous_clients = 16\n"
      "admin_min_workers = 1\nadmin_max_workers = 1\n"
      "keepalive_interval = -1\naudit_level = 0\nlog_level = 3\nlog_outputs = \"3:stderr\"\n"
      "host_uuid = \"" + random_uuid() + "\"\n";
  std::string qemu =
      "stdio_handler = \"file\"\nsecurity_driver = \"none\"\nsecurity_default_confined = 0\n"
      "remember_owner = 0\nkeepalive_interval = -1\nmax_core = 0\n";
  if (!write_once(config + "/libvirtd.conf", daemon) || !write_once(config + "/qemu.conf", qemu)) {
    error = "write " + config + ": " + std::strerror(errno);
    return false;
  }
  copy_capabilities(capability_cache, cache);
  link_driver(dir + "/drivers");
  return true;
}

std::vector<std::string> libvirt_environment(const std::string& dir) {
  std::vector<std::string> env = {"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir + "/run", "XDG_CONFIG_HOME=" + dir + "/config",
                                  "XDG_CACHE_HOME=" + dir + "/cache", "XDG_DATA_HOME=" + dir + "/data",
                                  "MALLOC_ARENA_MAX=1", "LC_ALL=C.UTF-8", "DBUS_SESSION_BUS_ADDRESS=disabled:",
                                  "DBUS_SYSTEM_BUS_ADDRESS=disabled:"};
  if (access((dir + "/drivers/libvirt_driver_qemu.so").c_str(), F_OK) == 0)
    env.push_back("LIBVIRT_DRIVER_DIR=" + dir + "/drivers");
  return env;
}

}  // namespace nodevirt::monitor
