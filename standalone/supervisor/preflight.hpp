// What `up` looks at before it changes anything, and the two system users.
#pragma once
#include <string>
#include <sys/types.h>
#include <vector>

#include "standalone/pki/store.hpp"
#include "standalone/supervisor/instance.hpp"

namespace nodevirt::supervisor {

struct Users {
  pki::Owner control;    ///< `nodevirt`: API server, virt-api, virt-controller
  pki::Owner launcher;   ///< `nodevirt-launcher`: guests
};

/// PermissionDenied for anybody but root.
Result<void> require_root(std::string_view doing);
/// FailedPrecondition that names every command that is missing, with the packages that bring them.
Result<void> require_commands();
/// The two users; made with useradd when they are missing.
Result<Users> ensure_users();
/// The API server runs without rights: FailedPrecondition names the file or folder that it could not read, and whose
/// permissions are in the way.
Result<void> check_control_plane_access(const Installation& installation, const DataDir& data, const Users& users);
/// The first of `paths` that `user` cannot read (with_contents: nor the files in it), as "PATH: why"; empty when it
/// reads them all. Forks; for a process of one thread.
Result<std::string> unreadable_by(const pki::Owner& user, const std::vector<std::filesystem::path>& paths, bool with_contents);
/// ResourceExhausted when a new instance would not fit onto the disk of `folder` (which exists).
Result<void> check_room(const std::filesystem::path& folder);
/// "; no space is left on the disk that holds FOLDER" when that is so: nobody could write down why it failed.
std::string room_note(const std::filesystem::path& folder);
/// Things that are no errors, one line each: no /dev/kvm, for instance.
std::vector<std::string> notes();

/// A listening TCP socket (close-on-exec). AlreadyExists says which process has the port; what an `up` that was killed has
/// left there is given two seconds to go.
Result<Fd> listen_tcp(const std::string& host, std::uint16_t port, std::string_view flag);
/// "nginx (pid 12)" or empty: the process that listens on a port, as /proc/net/tcp of this namespace tells.
std::string who_listens(std::uint16_t port);
/// The port a listening socket got.
std::uint16_t port_of(const Fd& socket);

/// The administrator's kubeconfig at `path` may be (re)written: it is missing, or carries `server`'s or this
/// instance's authority (`ca_pem`). FailedPrecondition otherwise: it belongs to something else.
Result<void> check_kubeconfig(const std::string& path, const std::string& text, const std::string& ca_pem);

}  // namespace nodevirt::supervisor
