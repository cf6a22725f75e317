#include "virt-handler/migration/handover/journal.hpp"

#include "pkg/base/file.hpp"

namespace nodevirt::virt_handler::migration {

Note Journal::read(const std::string& migration) const {
  auto text = read_file(folder_ / migration, 64);
  if (!text.ok()) return text.error().code == Code::NotFound ? Note::None : Note::MayRelease;
  return *text == "kept\n" ? Note::Kept : Note::MayRelease;
}

Result<void> Journal::write(const std::string& migration, Note note) const {
  NV_TRY_VOID(make_dirs(folder_, 0700));
  return write_file_atomic(folder_ / migration, note == Note::Kept ? "kept\n" : "may-release\n", 0600);
}

void Journal::remove(const std::string& migration) const {
  std::error_code ignored;
  std::filesystem::remove(folder_ / migration, ignored);
}

}  // namespace nodevirt::virt_handler::migration
