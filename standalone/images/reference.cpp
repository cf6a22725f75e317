#include "standalone/images/reference.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace nodevirt::images {
namespace {

bool lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool alnum(char c) { return lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

Error invalid(std::string_view text, std::string_view why) {
  return Error(Code::InvalidArgument, "InvalidImageName",
               "image name \"" + std::string(text.substr(0, 256)) + "\": " + std::string(why));
}

bool valid_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > 128 || !(alnum(tag[0]) || tag[0] == '_')) return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool valid_host(std::string_view host) {
  if (const auto colon = host.find(':'); colon != std::string_view::npos) {
    const auto port = host.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos) return false;
    host = host.substr(0, colon);
  }
  if (host.empty() || !alnum(host[0])) return false;
  return std::all_of(host.begin(), host.end(), [](char c) { return alnum(c) || c == '.' || c == '-'; });
}

/// One component of a repository's path: lower-case words joined by '.', '_', '__' or dashes.
bool valid_component(std::string_view part) {
  if (part.empty() || !lower_alnum(part.front()) || !lower_alnum(part.back())) return false;
  return std::all_of(part.begin(), part.end(),
                     [](char c) { return lower_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

Result<Reference> parse_local(std::string_view text, Source source, std::string_view rest) {
  Reference out;
  out.source = source;
  const auto slash = rest.rfind('/');
  const auto colon = rest.find(':', slash == std::string_view::npos ? 0 : slash);
  out.name = std::string(rest.substr(0, colon));
  if (colon != std::string_view::npos) out.tag = std::string(rest.substr(colon + 1));
  if (out.name.empty()) return invalid(text, "the path is missing");
  if (out.name.find(':') != std::string::npos) return invalid(text, "a path with ':' in it cannot be named");
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    return invalid(text, "control characters");
  if (out.tag.size() > 512) return invalid(text, "the tag is too long");
  if (out.name.front() != '/') out.name = std::filesystem::absolute(out.name).lexically_normal().string();
  return out;
}

Result<Reference> parse_registry(std::string_view text, std::string_view rest) {
  std::string digest, tag;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    digest = std::string(rest.substr(at + 1));
    rest = rest.substr(0, at);
    if (!is_digest(digest)) return invalid(text, "the digest must be sha256: and 64 hexadecimal digits");
  }
  if (const auto colon = rest.rfind(':');
      colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos) {
    tag = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
    if (!valid_tag(tag)) return invalid(text, "the tag may hold letters, digits, '_', '.' and '-'");
  }
  std::string host = "docker.io";
  std::string path(rest);
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    const auto first = rest.substr(0, slash);
    if (first == "localhost" || first.find_first_of(".:") != std::string_view::npos) {
      host = std::string(first);
      path = std::string(rest.substr(slash + 1));
    }
  }
  if (host == "index.docker.io") host = "docker.io";
  if (!valid_host(host)) return invalid(text, "the registry's name is not valid");
  if (path.empty()) return invalid(text, "the repository's name is missing");
  if (host == "docker.io" && path.find('/') == std::string::npos) path = "library/" + path;
  std::string_view left = path;
  while (true) {
    const auto slash = left.find('/');
    if (!valid_component(left.substr(0, slash)))
      return invalid(text, "a repository's name is made of lower-case letters, digits, '.', '_' and '-'");
    if (slash == std::string_view::npos) break;
    left = left.substr(slash + 1);
  }
  Reference out;
  out.name = host + "/" + path;
  if (digest.empty()) out.name += ":" + (tag.empty() ? std::string("latest") : tag);
  else out.name += "@" + digest;  // a tag beside a digest says nothing more
  return out;
}

}  // namespace

bool is_digest(std::string_view text) {
  if (text.size() != 71 || text.substr(0, 7) != "sha256:") return false;
  return std::all_of(text.begin() + 7, text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string Reference::transport_name() const {
  const std::string suffix = tag.empty() ? "" : ":" + tag;
  switch (source) {
    case Source::Registry: return "docker://" + name;
    case Source::OciLayout: return "oci:" + name + suffix;
    case Source::OciArchive: return "oci-archive:" + name + suffix;
    case Source::DockerArchive: return "docker-archive:" + name + suffix;
  }
  return name;
}

std::string Reference::key() const { return source == Source::Registry ? name : transport_name(); }

Result<Reference> parse_reference(std::string_view text) {
  if (text.empty()) return invalid(text, "it is empty");
  if (text.size() > 1024) return invalid(text, "it is longer than 1024 bytes");
  static constexpr std::array<std::pair<std::string_view, Source>, 3> kLocal{{
      {"oci:", Source::OciLayout}, {"oci-archive:", Source::OciArchive}, {"docker-archive:", Source::DockerArchive}}};
  for (const auto& [prefix, source] : kLocal)
    if (text.substr(0, prefix.size()) == prefix) return parse_local(text, source, text.substr(prefix.size()));
  auto rest = text;
  if (rest.substr(0, 9) == "docker://") rest = rest.substr(9);
  if (rest.find("://") != std::string_view::npos)
    return invalid(text, "unknown transport; use a registry's name, oci:, oci-archive: or docker-archive:");
  return parse_registry(text, rest);
}

}  // namespace nodevirt::images
