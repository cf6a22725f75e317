// Names of images, as people write them anywhere: `alpine:3`, `quay.io/a/b@sha256:...`, `docker://...`,
// `oci:PATH[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::images {

enum class Source { Registry, OciLayout, OciArchive, DockerArchive };

struct Reference {
  Source source = Source::Registry;
  /// Registry: the whole normalised name ("docker.io/library/alpine:3"). Else the path of the layout or archive.
  std::string name;
  /// Local sources: what follows the path, may be empty.
  std::string tag;

  bool local() const { return source != Source::Registry; }
  /// As skopeo wants it.
  std::string transport_name() const;
  /// The same image under whatever spelling: the key of the name map.
  std::string key() const;
};

/// Error InvalidImageName with what is wrong. Nothing that a shell, skopeo or a path could take for
/// something else gets through: names follow the grammar of registries, paths are free of ':' and NUL.
Result<Reference> parse_reference(std::string_view text);

/// Whether `text` is `sha256:` and 64 lower-case hexadecimal digits.
bool is_digest(std::string_view text);

}  // namespace nodevirt::images
