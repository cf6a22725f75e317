#include "standalone/images/fetch.hpp"

#include <openssl/evp.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/process.hpp"
#include "standalone/images/registry_access.hpp"

namespace nodevirt::images {
namespace {

std::string sha256(std::string_view data) {
  std::array<unsigned char, 32> raw{};
  unsigned size = 0;
  EVP_Digest(data.data(), data.size(), raw.data(), &size, EVP_sha256(), nullptr);
  std::string out = "sha256:";
  for (auto b : raw) out += fmt::format("{:02x}", b);
  return out;
}

/// The last line of skopeo's output without its log dressing.
std::string last_message(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (const auto nl = text.rfind('\n'); nl != std::string_view::npos) text = text.substr(nl + 1);
  if (const auto msg = text.find("msg=\""); msg != std::string_view::npos) {
    text = text.substr(msg + 5);
    if (!text.empty() && text.back() == '"') text.remove_suffix(1);
  }
  std::string out;
  for (std::size_t i = 0; i < text.size() && out.size() < 600; ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) continue;
    out += text[i];
  }
  return out;
}

}  // namespace

Error explain_fetch_error(const Reference& reference, std::string_view err) {
  struct Rule {
    std::string_view needle;
    Code code;
    std::string_view meaning;
  };
  static constexpr Rule kRules[] = {
      {"no space left on device", Code::ResourceExhausted, "no space left on the disk that holds the image cache"},
      {"disk quota exceeded", Code::ResourceExhausted, "no space left on the disk that holds the image cache"},
      {"manifest unknown", Code::NotFound, "the image does not exist: no such tag in its repository"},
      {"name unknown", Code::NotFound, "the image does not exist: no such repository"},
      {"repository name not known", Code::NotFound, "the image does not exist: no such repository"},
      {"requested access to the resource is denied", Code::NotFound,
       "the image does not exist, or the registry wants a login for it (an imagePullSecret, or `skopeo login HOST` on this machine)"},
      {"authentication required", Code::PermissionDenied,
       "the registry wants a login for it: give it an imagePullSecret, or say `skopeo login HOST` on this machine"},
      {"unauthorized", Code::PermissionDenied,
       "the registry wants a login for it: give it an imagePullSecret, or say `skopeo login HOST` on this machine"},
      {"no such host", Code::Unavailable, "no registry reachable"},
      {"server misbehaving", Code::Unavailable, "no registry reachable"},
      {"Temporary failure in name resolution", Code::Unavailable, "no registry reachable"},
      {"network is unreachable", Code::Unavailable, "no registry reachable"},
      {"no route to host", Code::Unavailable, "no registry reachable"},
      {"connection refused", Code::Unavailable, "no registry reachable"},
      {"connection reset", Code::Unavailable, "no registry reachable"},
      {"i/o timeout", Code::Unavailable, "no registry reachable"},
      {"TLS handshake timeout", Code::Unavailable, "no registry reachable"},
      {"context deadline exceeded", Code::Unavailable, "no registry reachable"},
      {"x509:", Code::Unavailable, "the registry's certificate is not trusted: put its authority's into /etc/containers/certs.d/HOST/ca.crt"},
      {"server gave HTTP response to HTTPS client", Code::Unavailable, "the registry does not speak TLS: /etc/containers/registries.conf can allow that for HOST (insecure = true)"},
      {"no descriptor found for reference", Code::NotFound, "the layout holds no image of that tag"},
      {"no image found in image index", Code::NotFound, "the image has no variant for this machine's architecture"},
      {"no such file or directory", Code::NotFound, "there is no such file or folder"},
      {"does not match", Code::DataLoss, "the image is corrupt: a digest does not match"},
      {"Digest did not match", Code::DataLoss, "the image is corrupt: a digest does not match"},
      {"unexpected EOF", Code::DataLoss, "the image is corrupt: it ends early"},
      {"invalid tar header", Code::DataLoss, "the image is corrupt: it is no archive"},
      {"tar file", Code::DataLoss, "the image is corrupt: the archive lacks a part"},
      {"invalid character", Code::DataLoss, "the image is corrupt: unreadable metadata"},
  };
  const std::string detail = last_message(err);
  for (const auto& rule : kRules) {
    if (err.find(rule.needle) == std::string_view::npos) continue;
    std::string meaning(rule.meaning);
    if (const auto at = meaning.find("HOST"); at != std::string::npos) meaning.replace(at, 4, registry_host(reference));
    return Error(rule.code, "ErrImagePull", fmt::format("image {}: {} ({})", reference.key(), meaning, detail));
  }
  return Error(Code::Unknown, "ErrImagePull", fmt::format("image {}: {}", reference.key(), detail.empty() ? "skopeo failed" : detail));
}

Result<std::vector<Blob>> manifest_layers(std::string_view manifest, const std::filesystem::path& dir) {
  auto parsed = parse_json(manifest);
  if (!parsed.ok()) return Error(Code::DataLoss, "ErrImagePull", "the image is corrupt: its manifest is no JSON");
  const Json* layers = find(*parsed, {"layers"});
  if (!layers || !layers->is_array() || layers->size() > 512)
    return Error(Code::DataLoss, "ErrImagePull",
                 "the image's manifest lists no layers (formats: OCI image, Docker version 2 schema 2)");
  std::vector<Blob> out;
  for (const auto& layer : *layers) {
    const std::string digest = string_at(layer, {"digest"});
    if (!is_digest(digest)) return Error(Code::DataLoss, "ErrImagePull", "the image is corrupt: a layer without a sha256 digest");
    out.push_back({digest, dir / digest.substr(7)});
  }
  return out;
}

namespace {

/// skopeo with what every call takes; `verb` is "copy" or "inspect".
Result<Command> skopeo(const Reference& reference, const std::string& verb, const std::filesystem::path& work, const FetchOptions& options) {
  Command command;
  command.argv = {options.skopeo};
  // The machine's policy on signatures holds where there is one.
  if (::access("/etc/containers/policy.json", R_OK) != 0) command.argv.push_back("--insecure-policy");
  std::error_code ec;
  const auto scratch = work / "scratch";
  std::filesystem::create_directories(scratch, ec);
  command.argv.insert(command.argv.end(), {"--tmpdir", scratch.string(), verb});
  RegistryAccess access = registry_access(reference, options.registries, options.auth);
  if (access.pod_login) {
    const auto file = work / "auth.json";
    NV_TRY_VOID(write_file_atomic(file, options.auth, 0600));
    access.flags.push_back("--authfile=" + file.string());
  }
  const auto flags = verb == "copy" ? access.copy_flags() : access.flags;
  command.argv.insert(command.argv.end(), flags.begin(), flags.end());
  command.env = access.env;
  command.timeout = options.timeout;
  command.netns_fd = reference.local() ? -1 : options.netns_fd;
  return command;
}

Result<Finished> run_skopeo(const Reference& reference, const Command& command) {
  auto done = run_command(command);
  if (!done.ok()) {
    auto error = done.error().with_context("fetch image " + reference.key() + " with skopeo");
    error.reason = "ErrImagePull";
    return error;
  }
  if (done->exit_code != 0) return explain_fetch_error(reference, done->err);
  return done;
}

}  // namespace

Result<std::string> digest_for(std::string_view manifest, std::string_view architecture) {
  auto parsed = parse_json(manifest);
  if (!parsed.ok()) return Error(Code::Unknown, "ErrImagePull", "the manifest is no JSON");
  const Json* list = find(*parsed, {"manifests"});
  if (!list || !list->is_array()) return sha256(manifest);
  for (const Json& one : *list)
    if (string_at(one, {"platform", "architecture"}) == architecture && string_at(one, {"platform", "os"}) == "linux" && is_digest(string_at(one, {"digest"})))
      return string_at(one, {"digest"});
  return Error(Code::Unknown, "ErrImagePull", "the index names no image for this machine");
}

Result<std::string> remote_digest(const Reference& reference, const std::filesystem::path& work, const FetchOptions& options) {
  NV_TRY(Command command, skopeo(reference, "inspect", work, options));
  command.argv.insert(command.argv.end(), {"--raw", reference.transport_name()});
  command.max_output = 8u << 20;
  command.timeout = std::min<std::chrono::milliseconds>(command.timeout, std::chrono::minutes(2));
  NV_TRY(const Finished done, run_skopeo(reference, command));
  utsname machine{};
  ::uname(&machine);
  const std::string name = machine.machine;
  return digest_for(done.out, name == "x86_64" ? "amd64" : name == "aarch64" ? "arm64" : name);
}

Result<Fetched> fetch(const Reference& reference, const std::filesystem::path& dir, const FetchOptions& options) {
  NV_TRY(Command command, skopeo(reference, "copy", dir.parent_path(), options));
  command.argv.insert(command.argv.end(), {"--quiet", reference.transport_name(), "dir:" + dir.string()});
  NV_TRY(const Finished done, run_skopeo(reference, command));
  auto manifest = nodevirt::read_file(dir / "manifest.json", 8u << 20);
  if (!manifest.ok()) return manifest.error().with_context("image " + reference.key());
  Fetched out;
  out.digest = sha256(*manifest);
  auto layers = manifest_layers(*manifest, dir);
  if (!layers.ok()) return layers.error().with_context("image " + reference.key());
  out.layers = std::move(*layers);
  return out;
}

}  // namespace nodevirt::images
