#include "pkg/runtime/informer_core.hpp"

#include "pkg/base/log.hpp"
#include "pkg/k8s/list_scanner.hpp"
#include "pkg/k8s/status.hpp"

namespace nodevirt::runtime {

namespace {

using k8s::WatchStep;

constexpr std::int64_t kPageSize = 500;
constexpr int kMaxDepth = 256;

// Between five and ten minutes, different for each informer, so that they do not all come back at once.
std::string watch_timeout() {
  static unsigned turn = 0;
  return std::to_string(300 + (++turn * 37) % 300);
}

std::string key_of(const Json& object) {
  std::string ns = string_at(object, {"metadata", "namespace"}), name = string_at(object, {"metadata", "name"});
  return ns.empty() ? name : ns + "/" + name;
}

}  // namespace

InformerCore::InformerCore(client::Client client, Clock& clock, Options options)
    : client_(std::move(client)), clock_(clock), options_(std::move(options)) {}

Awaitable<void> InformerCore::run(StopToken stop) {
  auto self = shared_from_this();
  co_await self->follow(stop);
  self->stream_.reset();
}

Awaitable<void> InformerCore::follow(StopToken stop) {
  k8s::WatchInput input = k8s::Started{};
  while (!stop.stop_requested()) {
    WatchStep step = machine_.resume(input);
    if (!step.complaint.empty())
      log::warning("watch of {}: {}", options_.resource.plural, step.complaint);
    switch (step.store) {
      case WatchStep::Store::None: break;
      case WatchStep::Store::Init: begin_list(); break;
      case WatchStep::Store::InitDone: end_list(); break;
      case WatchStep::Store::Apply: apply(line_["object"]); break;
      case WatchStep::Store::Delete: remove(line_["object"]); break;
    }
    switch (step.next) {
      case WatchStep::Next::List:
        stream_.reset();
        input = co_await fetch_page(step.continue_token);
        break;
      case WatchStep::Next::Watch:
        stream_.reset();
        input = co_await open_watch(step.resource_version, stop);
        break;
      case WatchStep::Next::Read:
        input = co_await read_line(stop);
        break;
      case WatchStep::Next::Wait: {
        stream_.reset();
        co_await clock_.sleep(step.wait, stop);
        input = k8s::Waited{};
        break;
      }
    }
  }
}

Awaitable<k8s::WatchInput> InformerCore::fetch_page(std::string continue_token) {
  client::ListOptions list;
  list.label_selector = options_.label_selector;
  list.field_selector = options_.field_selector;
  list.continue_token = std::move(continue_token);
  list.limit = kPageSize;
  net::Request request;
  request.target = client::list_target(options_.resource, options_.ns, list);
  request.headers.set("Accept", "application/json");
  auto response = co_await client_.transport()->send(std::move(request));
  if (!response.ok()) co_return k8s::ListFailed{response.error()};
  if (response->status != 200) co_return k8s::ListFailed{k8s::error_of_response(response->status, response->body)};
  auto page = k8s::scan_list(response->body);
  if (!page.ok()) co_return k8s::ListFailed{page.error()};
  for (auto text : page->items) {
    auto item = parse_json(text, kMaxDepth);
    if (item.ok()) apply(*item);
    else log::error("list of {}: an item does not parse: {}", options_.resource.plural, item.error().message);
  }
  co_return k8s::PageListed{page->resource_version, page->continue_token};
}

Awaitable<k8s::WatchInput> InformerCore::open_watch(std::string version, StopToken stop) {
  lines_.clear();
  net::Query q;
  q.add("watch", "true");
  q.add("allowWatchBookmarks", "true");
  q.add("resourceVersion", std::move(version));
  q.add("timeoutSeconds", watch_timeout());
  if (!options_.label_selector.empty()) q.add("labelSelector", options_.label_selector);
  if (!options_.field_selector.empty()) q.add("fieldSelector", options_.field_selector);
  net::Request request;
  request.target = options_.resource.path(options_.ns) + "?" + q.to_string();
  request.headers.set("Accept", "application/json");
  auto reader = co_await client_.transport()->open(std::move(request));
  if (!reader.ok()) co_return k8s::WatchFailed{reader.error()};
  stream_ = std::shared_ptr<net::BodyReader>(std::move(*reader));
  opened_ = clock_.now();
  int status = stream_->head().status;
  if (status == 200) co_return k8s::WatchOpened{};
  std::string body;
  auto stream = stream_;
  auto end = [stream] { stream->abort(); };
  std::stop_callback<decltype(end)> on_stop(stop, end);
  while (body.size() < (64u << 10)) {
    auto piece = co_await stream->read();
    if (!piece.ok() || piece->empty()) break;
    body += *piece;
  }
  co_return k8s::WatchFailed{k8s::error_of_response(status, body)};
}

Awaitable<k8s::WatchInput> InformerCore::read_line(StopToken stop) {
  auto stream = stream_;
  auto end = [stream] { stream->abort(); };
  std::stop_callback<decltype(end)> on_stop(stop, end);
  while (true) {
    if (auto text = lines_.next()) {
      auto parsed = parse_json(*text, kMaxDepth);
      if (!parsed.ok()) break;
      line_ = std::move(*parsed);
      co_return k8s::WatchLine{&line_};
    }
    auto piece = co_await stream->read();
    if (!piece.ok() || piece->empty()) break;
    if (!lines_.feed(*piece).ok()) break;
  }
  co_return k8s::StreamEnded{clock_.now() - opened_};
}

void InformerCore::apply(const Json& object) {
  auto decoded = options_.decode(object);
  if (!decoded.ok()) {
    log::error("{} {}/{} is left out: {}", options_.resource.kind, string_at(object, {"metadata", "namespace"}),
               string_at(object, {"metadata", "name"}), decoded.error().message);
    // What was known of it stays: an object that we fail to read is not one that is gone.
    if (auto it = store_.find(key_of(object)); it != store_.end()) it->second.epoch = epoch_;
    return;
  }
  put(std::move(*decoded));
}

void InformerCore::put(Decoded decoded) {
  auto it = store_.find(decoded.key);
  if (it != store_.end() && it->second.uid != decoded.uid) {
    // Deleted and made anew while we did not look: two things happened, and both are told.
    erase(it);
    it = store_.end();
  }
  Object old;
  if (it == store_.end()) {
    it = store_.emplace(decoded.key, Entry{}).first;
  } else {
    it->second.epoch = epoch_;
    if (it->second.resource_version == decoded.resource_version) return;
    old = it->second.object;
    index(it->first, old.get(), false);
  }
  Entry& entry = it->second;
  entry.object = decoded.object;
  entry.uid = std::move(decoded.uid);
  entry.resource_version = std::move(decoded.resource_version);
  entry.epoch = epoch_;
  index(decoded.key, decoded.object.get(), true);
  tell(old, decoded.object);
}

void InformerCore::remove(const Json& object) {
  auto it = store_.find(key_of(object));
  if (it != store_.end()) erase(it);
}

void InformerCore::erase(std::unordered_map<std::string, Entry>::iterator it) {
  Object old = it->second.object;
  index(it->first, old.get(), false);
  store_.erase(it);
  tell(old, nullptr);
}

void InformerCore::end_list() {
  std::vector<std::string> gone;
  for (const auto& [key, entry] : store_)
    if (entry.epoch != epoch_) gone.push_back(key);
  for (const auto& key : gone)
    if (auto it = store_.find(key); it != store_.end()) erase(it);
  if (!synced_) {
    synced_ = true;
    sync_signal_.notify_all();
  }
}

void InformerCore::tell(const Object& old, const Object& now) {
  for (auto& handler : handlers_) handler(old, now);
}

void InformerCore::index(const std::string& key, const void* object, bool insert) {
  for (auto& [name, index] : indexes_) {
    for (auto& value : index.function(object)) {
      if (insert) {
        index.keys[value].insert(key);
      } else if (auto it = index.keys.find(value); it != index.keys.end()) {
        it->second.erase(key);
        if (it->second.empty()) index.keys.erase(it);
      }
    }
  }
}

Awaitable<bool> InformerCore::synced(StopToken stop) {
  auto self = shared_from_this();
  while (!self->synced_ && !stop.stop_requested()) co_await self->sync_signal_.wait(stop);
  co_return self->synced_;
}

InformerCore::Object InformerCore::get(const std::string& key) const {
  auto it = store_.find(key);
  return it == store_.end() ? nullptr : it->second.object;
}

std::vector<InformerCore::Object> InformerCore::list() const {
  std::vector<Object> out;
  out.reserve(store_.size());
  for (const auto& [key, entry] : store_) out.push_back(entry.object);
  return out;
}

void InformerCore::add_index(std::string name, IndexFunction function) {
  Index& index = indexes_[std::move(name)];
  index.function = std::move(function);
  for (const auto& [key, entry] : store_)
    for (auto& value : index.function(entry.object.get())) index.keys[value].insert(key);
}

std::vector<InformerCore::Object> InformerCore::by_index(const std::string& name, const std::string& value) const {
  std::vector<Object> out;
  auto index = indexes_.find(name);
  if (index == indexes_.end()) return out;
  auto keys = index->second.keys.find(value);
  if (keys == index->second.keys.end()) return out;
  for (const auto& key : keys->second)
    if (auto object = get(key)) out.push_back(std::move(object));
  return out;
}

}  // namespace nodevirt::runtime
