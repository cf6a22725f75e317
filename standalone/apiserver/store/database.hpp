// The durable half of the store: objects in SQLite (WAL, synchronous=FULL), with a schema version.
// A batch is committed whole or not at all; commit() returns after the log has reached the disk.
// On a disk that others fill it goes on for a while: room for kReserve of log belongs to it from the beginning.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/result.hpp"
#include "standalone/apiserver/store/object.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace nodevirt::apiserver {

class Database {
 public:
  static constexpr int kSchemaVersion = 1;
  /// Bytes of the log (a file of its own, `-wal`) that are allocated before they are written. It is written into the
  /// database after half of that.
  static constexpr std::int64_t kReserve = 8 << 20;

  struct Row {
    std::string resource;
    StoredPtr object;                 ///< text set
    bool deleted = false;
  };

  /// Creates the file or upgrades an older schema; FailedPrecondition when the file was written by a
  /// newer program, DataLoss when it is no database.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& path);
  ~Database();

  /// The highest revision ever committed.
  std::int64_t revision() const { return revision_; }
  /// Every object; the text is handed over only up to `max_text` bytes.
  Result<void> load(std::size_t max_text, const std::function<void(std::string resource, StoredPtr)>& each);
  /// Called from the writer's thread only.
  Result<void> commit(const std::vector<Row>& rows, std::int64_t revision);
  /// The bytes of one object at exactly this revision; on a read connection of its own. NotFound otherwise.
  Result<std::string> read(const std::string& resource, const StoredObject& object);

 private:
  Database() = default;
  Result<void> exec(sqlite3* db, const char* sql);
  Result<void> upgrade();
  void reserve();

  sqlite3* writer_ = nullptr;
  sqlite3* reader_ = nullptr;
  sqlite3_stmt* upsert_ = nullptr;
  sqlite3_stmt* erase_ = nullptr;
  sqlite3_stmt* mark_ = nullptr;
  sqlite3_stmt* select_ = nullptr;
  std::int64_t revision_ = 0;
  std::string log_path_;
  bool reserved_ = false;
};

}  // namespace nodevirt::apiserver
