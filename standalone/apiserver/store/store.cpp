#include "standalone/apiserver/store/store.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "pkg/base/log.hpp"
#include "standalone/apiserver/store/database.hpp"

namespace nodevirt::apiserver {

namespace asio = boost::asio;

namespace {

struct Entry {
  StoredPtr durable;   ///< null: does not exist (yet)
  StoredPtr head;      ///< null: accepted as deleted, or nothing accepted
};

// "a/b" < "a0" must not hold for namespace order, so the separator sorts first.
std::string map_key(std::string_view ns, std::string_view name) {
  std::string key;
  key.reserve(ns.size() + name.size() + 1);
  key.append(ns).append(1, '\0').append(name);
  return key;
}

using Table = std::map<std::string, Entry>;

std::size_t text_bytes(const StoredPtr& object) { return object && object->text ? object->text->size() : 0; }

struct Pending {
  Database::Row row;
  EventPtr event;
  bool done = false;
  std::optional<Error> failure;
  std::unique_ptr<asio::steady_timer> waiter;
};
using PendingPtr = std::shared_ptr<Pending>;

}  // namespace

struct Store::Impl : std::enable_shared_from_this<Store::Impl> {
  Executor executor;
  Options options;
  std::unique_ptr<Database> db;
  std::unique_ptr<History> history;
  std::map<std::string, Table> tables;
  std::int64_t next = 0, durable = 0;
  std::uint64_t commits = 0;
  std::size_t resident_bytes = 0;   // of the durable objects' texts that are in memory

  std::mutex mutex;
  std::condition_variable ready;
  std::vector<PendingPtr> queue;    // guarded by mutex
  bool stopping = false;            // guarded by mutex
  bool broken = false;              // guarded by mutex: drop what is queued until the owner has cleared it
  std::thread writer;

  void write_loop() {
    for (;;) {
      std::vector<PendingPtr> batch;
      {
        std::unique_lock lock(mutex);
        ready.wait(lock, [this] { return stopping || (!queue.empty() && !broken); });
        if (queue.empty() || broken) return;
        batch.swap(queue);
      }
      std::vector<Database::Row> rows;
      rows.reserve(batch.size());
      for (auto& p : batch) rows.push_back(p->row);
      auto result = db->commit(rows, batch.back()->row.object->revision);
      if (!result.ok()) {
        std::lock_guard lock(mutex);
        broken = true;
      }
      asio::post(executor, [self = shared_from_this(), batch = std::move(batch), result = std::move(result)]() mutable {
        if (result.ok()) self->committed(batch);
        else self->failed(std::move(batch), result.error());
      });
    }
  }

  void committed(const std::vector<PendingPtr>& batch) {
    ++commits;
    for (const auto& p : batch) {
      auto& table = tables[p->row.resource];
      auto key = map_key(p->row.object->ns, p->row.object->name);
      if (p->row.deleted) {
        auto it = table.find(key);
        if (it != table.end()) {
          resident_bytes -= text_bytes(it->second.durable);
          it->second.durable = nullptr;
          if (!it->second.head) table.erase(it);
        }
      } else {
        auto& entry = table[key];
        auto kept = resident(p->row.object);
        if (entry.head == p->row.object) entry.head = kept;
        resident_bytes += text_bytes(kept) - text_bytes(entry.durable);
        entry.durable = std::move(kept);
      }
      durable = p->row.object->revision;
      history->allow(resident_bytes / 4);
      history->publish(p->event);
      finish(*p);
    }
  }

  /// Nothing of the batch, nor of what was queued on top of it, happened.
  void failed(std::vector<PendingPtr> batch, const Error& error) {
    {
      std::lock_guard lock(mutex);
      batch.insert(batch.end(), queue.begin(), queue.end());
      queue.clear();
      broken = false;
    }
    log::error("{} writes refused: {}", batch.size(), error.message);
    for (auto& p : batch) {
      auto& table = tables[p->row.resource];
      auto it = table.find(map_key(p->row.object->ns, p->row.object->name));
      if (it != table.end()) {
        it->second.head = it->second.durable;
        if (!it->second.durable) table.erase(it);
      }
      p->failure = error;
      finish(*p);
    }
  }

  StoredPtr resident(const StoredPtr& object) const {
    if (object->text->size() <= options.max_resident) return object;
    auto copy = std::make_shared<StoredObject>(*object);
    copy->text = nullptr;
    return copy;
  }

  static void finish(Pending& p) {
    p.done = true;
    if (p.waiter) p.waiter->cancel();
  }
};

Result<std::unique_ptr<Store>> Store::open(Executor executor, Options options) {
  auto impl = std::make_shared<Impl>();
  impl->executor = executor;
  NV_TRY(impl->db, Database::open(options.path));
  impl->next = impl->durable = impl->db->revision();
  impl->history = std::make_unique<History>(impl->durable, options.history);
  auto max = options.max_resident;
  impl->options = std::move(options);
  NV_TRY_VOID(impl->db->load(max, [&](std::string resource, StoredPtr object) {
    auto key = map_key(object->ns, object->name);
    impl->resident_bytes += text_bytes(object);
    impl->tables[resource][key] = Entry{object, object};
  }));
  impl->writer = std::thread([p = impl.get()] { p->write_loop(); });
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Store::~Store() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->ready.notify_one();
  if (impl_->writer.joinable()) impl_->writer.join();
}

StoredPtr Store::get(const std::string& resource, const std::string& ns, const std::string& name) const {
  auto t = impl_->tables.find(resource);
  if (t == impl_->tables.end()) return nullptr;
  auto e = t->second.find(map_key(ns, name));
  return e == t->second.end() ? nullptr : e->second.durable;
}

StoredPtr Store::head(const std::string& resource, const std::string& ns, const std::string& name) const {
  auto t = impl_->tables.find(resource);
  if (t == impl_->tables.end()) return nullptr;
  auto e = t->second.find(map_key(ns, name));
  return e == t->second.end() ? nullptr : e->second.head;
}

void Store::list(const std::string& resource, const std::string& ns, const std::string& after_key,
                 const std::function<bool(const StoredPtr&)>& each) const {
  auto t = impl_->tables.find(resource);
  if (t == impl_->tables.end()) return;
  auto it = ns.empty() ? t->second.begin() : t->second.lower_bound(map_key(ns, ""));
  if (!after_key.empty()) {
    auto slash = after_key.find('/');
    auto key = slash == std::string::npos ? map_key("", after_key)
                                          : map_key(after_key.substr(0, slash), after_key.substr(slash + 1));
    it = t->second.upper_bound(key);
  }
  for (; it != t->second.end(); ++it) {
    if (!it->second.durable) continue;
    if (!ns.empty() && it->second.durable->ns != ns) return;
    if (!each(it->second.durable)) return;
  }
}

void Store::each_head(const std::string& resource, const std::string& ns,
                      const std::function<void(const StoredPtr&)>& each) const {
  auto t = impl_->tables.find(resource);
  if (t == impl_->tables.end()) return;
  for (const auto& [key, entry] : t->second)
    if (entry.head && (ns.empty() || entry.head->ns == ns)) each(entry.head);
}

std::size_t Store::count(const std::string& resource, const std::string& ns) const {
  std::size_t n = 0;
  list(resource, ns, "", [&n](const StoredPtr&) { ++n; return true; });
  return n;
}

Result<std::shared_ptr<const std::string>> Store::text(const std::string& resource, const StoredPtr& object) const {
  if (object->text) return object->text;
  NV_TRY(auto text, impl_->db->read(resource, *object));
  return std::make_shared<const std::string>(std::move(text));
}

std::int64_t Store::revision() const { return impl_->durable; }
History& Store::history() const { return *impl_->history; }
std::uint64_t Store::commits() const { return impl_->commits; }

Awaitable<Result<StoredPtr>> Store::commit(Write w) {
  auto impl = impl_;
  auto key = map_key(w.ns, w.name);
  auto& table = impl->tables[w.resource];
  auto it = table.find(key);
  auto head = it == table.end() ? nullptr : it->second.head;
  std::int64_t current = head ? head->revision : 0;
  if (current != w.expected) {
    if (w.expected == 0) co_return Error(Code::AlreadyExists, "AlreadyExists", "the object already exists");
    if (current == 0) co_return Error(Code::NotFound, "NotFound", "the object has been deleted");
    co_return Error(Code::Aborted, "Conflict",
                    "the object has been modified; please apply your changes to the latest version and try again");
  }
  auto object = std::make_shared<StoredObject>();
  object->revision = ++impl->next;
  object->ns = w.ns;
  object->name = w.name;
  object->index = std::move(w.index);
  w.value["metadata"]["resourceVersion"] = std::to_string(object->revision);
  auto text = dump_json(w.value);
  text.shrink_to_fit();  // it stays as long as the history: a text that grew as it was written has up to half unused
  object->text = std::make_shared<const std::string>(std::move(text));
  w.value = nullptr;

  auto event = std::make_shared<Event>();
  event->type = w.remove ? EventType::Deleted : current ? EventType::Modified : EventType::Added;
  event->resource = w.resource;
  event->object = object;
  if (head) {  // without its bytes: the history would hold every object twice
    auto previous = std::make_shared<StoredObject>(*head);
    previous->text = nullptr;
    event->previous = std::move(previous);
  }

  auto pending = std::make_shared<Pending>();
  pending->row = {w.resource, object, w.remove};
  pending->event = event;
  pending->waiter = std::make_unique<asio::steady_timer>(impl->executor, asio::steady_timer::time_point::max());
  table[key].head = w.remove ? nullptr : StoredPtr(object);
  {
    std::lock_guard lock(impl->mutex);
    impl->queue.push_back(pending);
  }
  impl->ready.notify_one();
  while (!pending->done) {
    boost::system::error_code ignored;
    co_await pending->waiter->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (pending->failure) co_return Error(*pending->failure);
  co_return StoredPtr(object);
}

}  // namespace nodevirt::apiserver
