#include "standalone/pki/store.hpp"

#include <unistd.h>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/file.hpp"
#include "standalone/pki/kubeconfig.hpp"

namespace nodevirt::pki {
namespace {

NV_DECLARE_FAILPOINT(kAfterKey, "pki-after-key");

constexpr Days kAuthorityValidity{3653}, kLeafValidity{366}, kRenewBefore{30};
constexpr std::size_t kMaxPem = 64 << 10;

namespace fs = std::filesystem;

Result<void> put(const fs::path& path, const std::string& text, mode_t mode, Owner owner) {
  NV_TRY_VOID(write_file_atomic(path, text, mode));
  if (geteuid() == 0 && chown(path.c_str(), owner.uid, owner.gid) != 0)
    return errno_error(errno, "chown " + path.string());
  return {};
}

Result<std::string> get(const fs::path& path) { return read_file(path, kMaxPem); }

Result<KeyPair> ensure_authority(const fs::path& dir, bool& made) {
  auto key = get(dir / "ca.key"), cert = get(dir / "ca.crt");
  if (key.ok() && cert.ok()) {
    KeyPair pair{*cert, *key};
    if (!matches(pair))
      return Error{Code::FailedPrecondition, fmt::format("{0}/ca.crt and {0}/ca.key do not belong together; restore them "
                                                         "from a copy, or remove the folder to start with new ones", dir.string())};
    return pair;
  }
  // The certificate is written last: a key without one was never used.
  if (cert.ok())
    return Error{Code::FailedPrecondition, fmt::format("{0}/ca.key is missing or unreadable ({1}); restore it from a copy, or "
                                                       "remove {0} to start with new certificates", dir.string(), key.error().message)};
  NV_TRY(KeyPair pair, make_authority("nodevirt-ca", kAuthorityValidity));
  NV_TRY_VOID(put(dir / "ca.key", pair.private_key_pem, 0600, {}));
  NV_FAILPOINT(kAfterKey);
  NV_TRY_VOID(put(dir / "ca.crt", pair.certificate_pem, 0644, {}));
  made = true;
  return pair;
}

bool good(const KeyPair& pair, const Identity& identity, const KeyPair& authority, Clock::WallTime now) {
  auto facts = inspect(pair.certificate_pem);
  return facts.ok() && facts->subject == identity.subject && facts->not_after > now + kRenewBefore && matches(pair) &&
         signed_by(pair.certificate_pem, authority.certificate_pem);
}

}  // namespace

Result<Ensured> ensure(const EnsureOptions& options, Clock::WallTime now) {
  const fs::path& dir = options.dir;
  Ensured done;
  NV_TRY_VOID(make_dirs(dir, 0755));
  NV_TRY(KeyPair authority, ensure_authority(dir, done.new_authority));
  for (const Identity& identity : options.identities) {
    auto key = get(dir / (identity.name + ".key")), cert = get(dir / (identity.name + ".crt"));
    KeyPair pair;
    if (key.ok() && cert.ok()) pair = KeyPair{*cert, *key};
    if (!good(pair, identity, authority, now)) {
      NV_TRY(pair, issue(authority, identity.subject, kLeafValidity));
      NV_TRY_VOID(put(dir / (identity.name + ".key"), pair.private_key_pem, 0600, identity.owner));
      NV_FAILPOINT(kAfterKey);
      NV_TRY_VOID(put(dir / (identity.name + ".crt"), pair.certificate_pem, 0644, identity.owner));
      done.issued.push_back(identity.name);
    }
    if (!identity.kubeconfig) continue;
    std::string text = render_kubeconfig(options.context_name, options.server_url, authority.certificate_pem, pair);
    auto old = get(dir / (identity.name + ".kubeconfig"));
    if (!old.ok() || *old != text)
      NV_TRY_VOID(put(dir / (identity.name + ".kubeconfig"), text, 0600, identity.owner));
  }
  auto signing = get(dir / "sa.key");
  auto known = signing.ok() ? public_key_of(*signing) : Result<std::string>(Error{Code::NotFound, "no key"});
  if (!known.ok()) {
    NV_TRY(std::string made, make_private_key());
    NV_TRY_VOID(put(dir / "sa.key", made, 0600, options.service_account_owner));
    known = public_key_of(made);
    if (!known.ok()) return known.error();
  }
  auto published = get(dir / "sa.pub");
  if (!published.ok() || *published != *known) NV_TRY_VOID(put(dir / "sa.pub", *known, 0644, options.service_account_owner));
  return done;
}

std::vector<Identity> identities_of(const ClusterNames& names) {
  Subject server{.common_name = "kube-apiserver",
                 .dns_names = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                               "kubernetes.default.svc.cluster.local"},
                 .ip_addresses = {"127.0.0.1", "::1", names.service_address},
                 .server = true};
  for (const auto& a : names.listen_addresses)
    if (std::find(server.ip_addresses.begin(), server.ip_addresses.end(), a) == server.ip_addresses.end() && a != "0.0.0.0" && a != "::")
      server.ip_addresses.push_back(a);
  const Owner control = names.control_plane, root;
  std::vector<Identity> all{
      {"apiserver", server, false, control},
      {"front-proxy", {.common_name = "apiserver-client", .client = true}, false, control},
      {"admin", {.common_name = "admin", .organizations = {"system:masters"}, .client = true}, true, root},
      {"virt-api",
       {.common_name = "virt-api", .dns_names = {"virt-api.kubevirt.svc", "virt-api.kubevirt.svc.cluster.local", "virt-api", "localhost"},
        .ip_addresses = {"127.0.0.1"}, .server = true, .client = true},
       true, control},
      {"virt-controller", {.common_name = "virt-controller", .client = true}, true, control},
  };
  for (const auto& node : names.nodes) {
    all.push_back({"node-" + node, {.common_name = "system:node:" + node, .organizations = {"system:nodes"}, .client = true}, true, root});
    all.push_back({"virt-handler-" + node,
                   {.common_name = "virt-handler", .organizations = {"nodevirt.io:node:" + node}, .dns_names = {"virt-handler", "localhost"}, .server = true, .client = true}, true, root});
  }
  return all;
}

}  // namespace nodevirt::pki
