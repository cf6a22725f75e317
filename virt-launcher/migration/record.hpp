// What a migration's side has decided, so that it holds after a crash of the launcher: one small file, replaced whole.
#pragma once
#include <filesystem>
#include <string>

#include "pkg/base/json.hpp"

namespace nodevirt::virt_launcher::migration {

enum class Role { none, source, target };
/// Of a source: begun -> ended (libvirt's job is over) and, from either, released. Of a target: prepared -> resumed or
/// abandoned. released, resumed and abandoned are final.
enum class Step { none, begun, ended, released, prepared, resumed, abandoned };

struct Record {
  std::string uid;  ///< the migration's
  Role role = Role::none;
  Step step = Step::none;
  std::string error;              ///< of a job that failed
  bool guest_was_paused = false;  ///< by its user, before the migration began
  bool paused_by_us = false;      ///< to let the memory come to rest
  unsigned interval_ms = 0;       ///< between samples
  std::string memory_socket;      ///< of a source: where the memory's stream goes
  bool fetching = false;          ///< of a resumed target: a part of its memory is still at the source (post-copy)
};

Json to_json(const Record& record);
/// InvalidArgument for what is no record.
Result<Record> record_of(const Json& json);
/// An empty record when there is none.
Result<Record> read_record(const std::filesystem::path& folder);
/// A migration has touched this pod.
bool record_exists(const std::filesystem::path& folder);
/// When it returns it outlives this program. Not the machine: no pod does, and the guest would wait for the disk.
Result<void> write_record(const std::filesystem::path& folder, const Record& record);

}  // namespace nodevirt::virt_launcher::migration
