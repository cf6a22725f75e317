// The source's note of a handover, on the node's disk: one small file per migration that may be decided.
#pragma once
#include <filesystem>
#include <string>

#include "pkg/base/result.hpp"
#include "virt-handler/migration/handover/decision.hpp"

namespace nodevirt::virt_handler::migration {

class Journal {
 public:
  /// `folder` is made when the first note is written.
  explicit Journal(std::filesystem::path folder) : folder_(std::move(folder)) {}
  /// What was noted; a note that cannot be read counts as MayRelease (the careful one).
  Note read(const std::string& migration) const;
  /// Durable when it returns. Blocks.
  Result<void> write(const std::string& migration, Note note) const;
  void remove(const std::string& migration) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace nodevirt::virt_handler::migration
