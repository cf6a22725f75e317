#include "standalone/apiserver/store/database.hpp"

#include <fcntl.h>

#include <sqlite3.h>

#include <fmt/format.h>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/file.hpp"

namespace nodevirt::apiserver {

namespace {

NV_DECLARE_FAILPOINT(kBeforeCommit, "apiserver-before-commit");
NV_DECLARE_FAILPOINT(kAfterCommit, "apiserver-after-commit");

Error sqlite_error(sqlite3* db, std::string_view doing) {
  int rc = db ? sqlite3_errcode(db) : SQLITE_NOMEM;
  Code code = Code::Internal;
  if (rc == SQLITE_FULL) code = Code::ResourceExhausted;
  if (rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY || rc == SQLITE_PERM) code = Code::PermissionDenied;
  if (rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT) code = Code::DataLoss;
  const char* remedy = code == Code::DataLoss ? " (restore it from a copy; `nodevirt down --force` and `nodevirt reset` give everything up)"
                       : code == Code::ResourceExhausted ? " (no space left on its disk)" : "";
  return {code, "", fmt::format("{}: {}{}", doing, db ? sqlite3_errmsg(db) : "out of memory", remedy)};
}

Result<sqlite3_stmt*> prepare(sqlite3* db, const char* sql) {
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, nullptr) != SQLITE_OK)
    return sqlite_error(db, "prepare a statement of the state database");
  return stmt;
}

// Not called bind: std::bind would be the better match for a std::string.
void bind_text(sqlite3_stmt* s, int at, std::string_view text) {
  sqlite3_bind_text(s, at, text.data(), int(text.size()), SQLITE_STATIC);
}

std::string_view column(sqlite3_stmt* s, int at) {
  auto* p = reinterpret_cast<const char*>(sqlite3_column_blob(s, at));
  return p ? std::string_view(p, std::size_t(sqlite3_column_bytes(s, at))) : std::string_view();
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& path) {
  std::unique_ptr<Database> self(new Database);
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  auto where = fmt::format("open the state database {}", path.string());
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  if (sqlite3_open_v2(path.c_str(), &self->writer_, flags, nullptr) != SQLITE_OK) return sqlite_error(self->writer_, where);
  sqlite3_extended_result_codes(self->writer_, 0);
  sqlite3_busy_timeout(self->writer_, 10000);
  // Exclusive use is by design: one server per database. The read connection is in this process.
  auto size_limit = fmt::format("PRAGMA journal_size_limit={}", kReserve);   // it is never cut to less
  for (auto* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-512",
                    "PRAGMA wal_autocheckpoint=1000", size_limit.c_str()})
    if (auto r = self->exec(self->writer_, sql); !r.ok()) return r.error().with_context(where);
  if (auto r = self->upgrade(); !r.ok()) return r.error().with_context(where);
  self->log_path_ = path.string() + "-wal";
  self->reserve();
  if (sqlite3_open_v2(path.c_str(), &self->reader_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    return sqlite_error(self->reader_, where);
  sqlite3_busy_timeout(self->reader_, 10000);
  (void)self->exec(self->reader_, "PRAGMA cache_size=-256");
  auto upsert = prepare(self->writer_,
      "INSERT INTO objects(resource,ns,name,revision,idx,value) VALUES(?1,?2,?3,?4,?5,?6) "
      "ON CONFLICT(resource,ns,name) DO UPDATE SET revision=?4, idx=?5, value=?6");
  auto erase = prepare(self->writer_, "DELETE FROM objects WHERE resource=?1 AND ns=?2 AND name=?3");
  auto mark = prepare(self->writer_, "UPDATE meta SET value=?1 WHERE key='revision'");
  auto select = prepare(self->reader_, "SELECT value FROM objects WHERE resource=?1 AND ns=?2 AND name=?3 AND revision=?4");
  for (auto* r : {&upsert, &erase, &mark, &select})
    if (!r->ok()) return r->error();
  self->upsert_ = *upsert; self->erase_ = *erase; self->mark_ = *mark; self->select_ = *select;
  return self;
}

Database::~Database() {
  for (auto* s : {upsert_, erase_, mark_, select_}) sqlite3_finalize(s);
  sqlite3_close(reader_);
  sqlite3_close(writer_);
}

Result<void> Database::exec(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return sqlite_error(db, sql);
  return {};
}

// Without room for it now, or on a file system that cannot: the log grows as it is written.
void Database::reserve() {
  Fd log(::open(log_path_.c_str(), O_WRONLY | O_CLOEXEC));   // its locks are on other files: closing this loses none
  reserved_ = log && (::fallocate(log.get(), FALLOC_FL_KEEP_SIZE, 0, kReserve) == 0 || errno == EOPNOTSUPP);
}

// Each step takes the schema from its own number to the next, in one transaction.
Result<void> Database::upgrade() {
  static const char* const kSteps[] = {
      "CREATE TABLE objects(resource TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,"
      " idx BLOB NOT NULL, value BLOB NOT NULL);"
      "CREATE UNIQUE INDEX objects_key ON objects(resource, ns, name);"
      "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
      "INSERT INTO meta VALUES('revision', 1);",
  };
  static_assert(std::size(kSteps) == kSchemaVersion);
  NV_TRY(auto* version, prepare(writer_, "PRAGMA user_version"));
  int rc = sqlite3_step(version);
  int found = rc == SQLITE_ROW ? sqlite3_column_int(version, 0) : 0;
  sqlite3_finalize(version);
  if (rc != SQLITE_ROW) return sqlite_error(writer_, "read the schema version");
  if (found > kSchemaVersion)
    return Error(Code::FailedPrecondition, fmt::format("it was written by a later version of nodevirt (schema {}, this one knows up to {}): install "
                                                       "that version or a later one", found, kSchemaVersion));
  for (int v = found; v < kSchemaVersion; ++v) {
    auto sql = fmt::format("BEGIN IMMEDIATE; {} PRAGMA user_version={}; COMMIT", kSteps[v], v + 1);
    if (auto r = exec(writer_, sql.c_str()); !r.ok()) { (void)exec(writer_, "ROLLBACK"); return r; }
  }
  NV_TRY(auto* revision, prepare(writer_, "SELECT value FROM meta WHERE key='revision'"));
  rc = sqlite3_step(revision);
  if (rc == SQLITE_ROW) revision_ = sqlite3_column_int64(revision, 0);
  sqlite3_finalize(revision);
  if (rc != SQLITE_ROW) return Error(Code::DataLoss, "the revision is missing");
  return {};
}

Result<void> Database::load(std::size_t max_text, const std::function<void(std::string, StoredPtr)>& each) {
  auto sql = fmt::format("SELECT resource,ns,name,revision,idx,CASE WHEN length(value)<={} THEN value END FROM objects", max_text);
  NV_TRY(auto* s, prepare(reader_, sql.c_str()));
  int rc;
  while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
    auto o = std::make_shared<StoredObject>();
    o->ns = column(s, 1);
    o->name = column(s, 2);
    o->revision = sqlite3_column_int64(s, 3);
    o->index = ObjectIndex::decode(column(s, 4));
    if (sqlite3_column_type(s, 5) != SQLITE_NULL) o->text = std::make_shared<const std::string>(column(s, 5));
    each(std::string(column(s, 0)), std::move(o));
  }
  sqlite3_finalize(s);
  if (rc != SQLITE_DONE) return sqlite_error(reader_, "load the objects");
  return {};
}

Result<void> Database::commit(const std::vector<Row>& rows, std::int64_t revision) {
  NV_FAILPOINT(kBeforeCommit);
  auto run = [&]() -> Result<void> {
    NV_TRY_VOID(exec(writer_, "BEGIN IMMEDIATE"));
    for (const auto& row : rows) {
      auto* s = row.deleted ? erase_ : upsert_;
      std::string idx;
      bind_text(s, 1, row.resource);
      bind_text(s, 2, row.object->ns);
      bind_text(s, 3, row.object->name);
      if (!row.deleted) {
        idx = row.object->index.encode();
        sqlite3_bind_int64(s, 4, row.object->revision);
        sqlite3_bind_blob(s, 5, idx.data(), int(idx.size()), SQLITE_STATIC);
        sqlite3_bind_blob(s, 6, row.object->text->data(), int(row.object->text->size()), SQLITE_STATIC);
      }
      int rc = sqlite3_step(s);
      sqlite3_reset(s);
      sqlite3_clear_bindings(s);
      if (rc != SQLITE_DONE) return sqlite_error(writer_, "write an object");
    }
    sqlite3_bind_int64(mark_, 1, revision);
    int rc = sqlite3_step(mark_);
    sqlite3_reset(mark_);
    if (rc != SQLITE_DONE) return sqlite_error(writer_, "write the revision");
    return exec(writer_, "COMMIT");
  };
  auto r = run();
  if (!r.ok()) {
    if (!sqlite3_get_autocommit(writer_)) (void)exec(writer_, "ROLLBACK");
    return r.error().with_context("commit to the state database");
  }
  NV_FAILPOINT(kAfterCommit);
  if (!reserved_) reserve();
  return {};
}

Result<std::string> Database::read(const std::string& resource, const StoredObject& object) {
  bind_text(select_, 1, resource);
  bind_text(select_, 2, object.ns);
  bind_text(select_, 3, object.name);
  sqlite3_bind_int64(select_, 4, object.revision);
  int rc = sqlite3_step(select_);
  std::string text(rc == SQLITE_ROW ? column(select_, 0) : std::string_view());
  sqlite3_reset(select_);
  if (rc == SQLITE_ROW) return text;
  if (rc == SQLITE_DONE) return Error(Code::NotFound, "NotFound", "the object has changed meanwhile");
  return sqlite_error(reader_, "read an object");
}

}  // namespace nodevirt::apiserver
