#include "virt-launcher/migration/record.hpp"

#include <array>

#include "pkg/base/file.hpp"
#include "virt-launcher/migration/migration.hpp"

namespace nodevirt::virt_launcher::migration {

namespace {

constexpr std::array<std::string_view, 3> kRoles{"none", "source", "target"};
constexpr std::array<std::string_view, 7> kSteps{"none", "begun", "ended", "released", "prepared", "resumed", "abandoned"};

template <class E, std::size_t N>
bool pick(const std::array<std::string_view, N>& words, const std::string& word, E& out) {
  for (std::size_t i = 0; i < N; ++i)
    if (words[i] == word) {
      out = static_cast<E>(i);
      return true;
    }
  return false;
}

}  // namespace

Json to_json(const Record& r) {
  return {{"uid", r.uid},
          {"role", kRoles[static_cast<std::size_t>(r.role)]},
          {"step", kSteps[static_cast<std::size_t>(r.step)]},
          {"error", r.error},
          {"guestWasPaused", r.guest_was_paused},
          {"pausedByUs", r.paused_by_us},
          {"intervalMs", r.interval_ms},
          {"memorySocket", r.memory_socket},
          {"fetching", r.fetching}};
}

Result<Record> record_of(const Json& j) {
  Record r;
  r.uid = string_at(j, {"uid"});
  bool known = pick(kRoles, string_at(j, {"role"}), r.role) && pick(kSteps, string_at(j, {"step"}), r.step);
  if (!known || r.uid.empty()) return Error(Code::InvalidArgument, "the record of the migration cannot be read");
  r.error = string_at(j, {"error"});
  r.guest_was_paused = bool_at(j, {"guestWasPaused"});
  r.paused_by_us = bool_at(j, {"pausedByUs"});
  r.interval_ms = static_cast<unsigned>(int_at(j, {"intervalMs"}));
  r.memory_socket = string_at(j, {"memorySocket"});
  r.fetching = bool_at(j, {"fetching"});
  return r;
}

Result<Record> read_record(const std::filesystem::path& folder) {
  auto text = read_file(folder / kRecordFile, 64u << 10);
  if (!text.ok()) {
    if (text.error().code == Code::NotFound) return Record{};
    return text.error();
  }
  NV_TRY(Json json, parse_json(*text, 4));
  return record_of(json);
}

bool record_exists(const std::filesystem::path& folder) {
  std::error_code ec;
  return std::filesystem::exists(folder / kRecordFile, ec);
}

Result<void> write_record(const std::filesystem::path& folder, const Record& record) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  return replace_file(folder / kRecordFile, dump_json(to_json(record)) + "\n", 0644);
}

}  // namespace nodevirt::virt_launcher::migration
