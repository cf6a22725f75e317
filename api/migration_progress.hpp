// The text of nodevirt.io/migration-progress: how a live migration stands, and what will become of it. Written by
// the source's virt-handler onto the VMI, copied by virt-controller (with source and target) onto the VMIM, read by
// virtctl and people. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::api {

struct MigrationProgress {
  std::string uid;                     ///< of the VMIM
  std::string mode;                    ///< PreCopy, PostCopy, Paused
  std::string source, target;          ///< nodes; only on the VMIM
  std::uint64_t iteration = 0;         ///< passes over the memory, from 1; 0: not begun (disks are copied first)
  std::uint64_t processed_bytes = 0;   ///< memory and disks, sent so far (may exceed the total: pages are sent again)
  std::uint64_t total_bytes = 0;
  std::uint64_t remaining_bytes = 0;
  std::uint64_t disk_total_bytes = 0, disk_remaining_bytes = 0;   ///< of these, the disks that come along; JSON only when there are some
  std::uint64_t dirty_rate = 0;        ///< bytes per second; JSON dirtyRateBytesPerSecond
  std::uint64_t bandwidth = 0;         ///< bytes per second, measured; JSON bandwidthBytesPerSecond
  std::uint32_t throttle_percent = 0;
  std::uint64_t downtime_limit_ms = 0;
  std::uint64_t predicted_downtime_ms = 0;
  std::optional<double> predicted_end_s;   ///< from sampled_at on; nothing (JSON null): it does not end by itself
  std::string explanation;             ///< a sentence for a person
  std::string sampled_at;              ///< RFC 3339
  bool done = false;                   ///< the last word: all has arrived. JSON only then, with the next two where they are known
  double seconds = 0;                  ///< from the job's begin until the guest ran on the target; 0: not known
  std::uint64_t downtime_ms = 0;       ///< for which the guest stood still; 0: not known
  friend bool operator==(const MigrationProgress&, const MigrationProgress&) = default;
};

/// One line of JSON, deterministic. The explanation is cut at 512 bytes (on a character's border).
std::string format_migration_progress(const MigrationProgress& progress);
/// Hostile text is fine: 4 KiB at most, unknown members are passed over, missing ones have their initial values,
/// numbers are bounded. InvalidArgument when it is no JSON object or has no uid.
Result<MigrationProgress> parse_migration_progress(std::string_view text);

/// Whether `now` is worth writing after `before`: anything but sampled_at differs in a way that somebody would
/// notice (numbers by more than 1 %, predictions by more than 5 % or 0.2 s).
bool worth_writing(const MigrationProgress& before, const MigrationProgress& now);

/// What a bar shows, 0 to 100: memory and disks that are in step on both sides. 100 is the end, and only that.
int progress_percent(const MigrationProgress& progress);
/// The disks are on their way; the memory has not begun.
bool copies_disks(const MigrationProgress& progress);
/// One line for people: "iteration 3, 61 % in step, 312 of 1024 MiB left, dirty 99 MiB/s, sends 60 MiB/s, ..."; in the
/// end what became of it: "done in 4.2 s with a pause of 0.06 s, 213 MiB sent in 3 iterations".
std::string summarize(const MigrationProgress& progress);

/// "99 MiB/s", "1.5 GiB/s", "640 KiB/s"; "99 MiB", ...: three digits at most.
std::string format_rate(double bytes_per_second);
std::string format_size(double bytes);
/// "0.3 s", "1.7 s", "42 s", "3 min", "2 h".
std::string format_seconds(double seconds);

}  // namespace nodevirt::api
