// WATCH: events from the history, in the client's form, until it goes away.
#include <charconv>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "pkg/base/id.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/handlers/call.hpp"
#include "standalone/apiserver/handlers/selection.hpp"
#include "standalone/apiserver/schema_cache.hpp"

namespace nodevirt::apiserver {

namespace asio = boost::asio;

namespace {

enum class Shown { Nothing, Added, Modified, Deleted };

/// What an event is to somebody who sees only what the selection matches.
Shown shown(const Selection& s, const Event& e) {
  bool now = s.matches(*e.object);
  bool before = e.previous && s.matches(*e.previous);
  switch (e.type) {
    case EventType::Added: return now ? Shown::Added : Shown::Nothing;
    case EventType::Modified: return now ? (before ? Shown::Modified : Shown::Added) : before ? Shown::Deleted : Shown::Nothing;
    case EventType::Deleted: return before || now ? Shown::Deleted : Shown::Nothing;
  }
  return Shown::Nothing;
}

const char* name_of(Shown s) { return s == Shown::Added ? "ADDED" : s == Shown::Modified ? "MODIFIED" : "DELETED"; }

/// Turns objects into what this watcher wants to see.
struct Renderer {
  Call& call;
  schema::TableOptions options;
  std::shared_ptr<const schema::TableFormat> format;
  bool first_table = true;

  std::string form_key() const {
    return fmt::format("{}/{}/{}", call.info.version, int(call.form.kind), call.form.version);
  }

  Awaitable<Result<std::shared_ptr<const std::string>>> render(std::shared_ptr<const std::string> stored, const Event* event) {
    bool plain = call.form.kind == AnswerForm::Kind::Object;
    if (plain && Converter::same(*call.resource, call.info.version)) co_return stored;
    bool table = call.form.kind == AnswerForm::Kind::Table;
    if (event && !table)
      for (const auto& [key, text] : event->forms) if (key == form_key()) co_return text;
    NV_CO_TRY(auto object, parse_json(*stored, 512));
    auto converted = co_await call.s.converter->to_version(call.resource, std::move(object), call.info.version);
    if (!converted.ok()) co_return Error(converted.error());
    Json out;
    if (table) {
      options.now = call.s.clock().wall();
      options.column_definitions = first_table;
      options.list_metadata = {{"resourceVersion", string_at(*converted, {"metadata", "resourceVersion"})}};
      first_table = false;
      const Json* one = &*converted;
      out = schema::render_table(*format, std::span<const Json* const>(&one, 1), options);
    } else if (!plain) {
      out = {{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/" + call.form.version}, {"metadata", (*converted)["metadata"]}};
    } else {
      out = std::move(*converted);
    }
    auto text = std::make_shared<const std::string>(dump_json(out));
    if (event && !table) event->forms.emplace_back(form_key(), text);
    co_return text;
  }
};

void append_event(std::string& out, const char* type, std::string_view object) {
  out += R"({"type":")";
  out += type;
  out += R"(","object":)";
  out += object;
  out += "}\n";
}

std::string bookmark(const Call& call, std::int64_t revision, bool initial_end) {
  Json o{{"kind", call.resource->kind}, {"apiVersion", call.resource->api_version(call.info.version)},
         {"metadata", {{"resourceVersion", std::to_string(revision)}, {"creationTimestamp", nullptr}}}};
  if (call.form.kind == AnswerForm::Kind::PartialMetadata || call.form.kind == AnswerForm::Kind::PartialMetadataList) {
    o["kind"] = "PartialObjectMetadata";
    o["apiVersion"] = "meta.k8s.io/" + call.form.version;
  }
  if (initial_end) o["metadata"]["annotations"]["k8s.io/initial-events-end"] = "true";
  return dump_json(o);
}

}  // namespace

Awaitable<void> handle_watch(Call& call) {
  const auto& info = *call.resource;
  auto& store = *call.s.store;
  auto selection = Selection::parse(call.query, call.resource, call.info.version, info.namespaced ? call.info.ns : "", call.info.subresource.empty() ? call.info.name : "");
  if (!selection.ok()) { co_await send_error(call, selection.error()); co_return; }
  auto number = [](const std::string& text, std::int64_t& out) {
    auto [p, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
    return ec == std::errc() && p == text.data() + text.size() && out >= 0;
  };
  auto rv_text = call.query.get_or("resourceVersion", "");
  std::int64_t rv = 0, timeout_seconds = 0;
  if (!rv_text.empty() && !number(rv_text, rv)) {
    co_await send_error(call, bad_request(fmt::format("Invalid value: \"{}\": resourceVersion", rv_text)));
    co_return;
  }
  auto timeout_text = call.query.get_or("timeoutSeconds", "");
  if (!timeout_text.empty() && !number(timeout_text, timeout_seconds)) {
    co_await send_error(call, bad_request("timeoutSeconds is not a number"));
    co_return;
  }
  if (timeout_seconds == 0) {
    unsigned char jitter[2];
    random_bytes(jitter);
    timeout_seconds = 1800 + (jitter[0] * 256 + jitter[1]) % 1800;   // not all at once
  }
  bool bookmarks = query_flag(call.query, "allowWatchBookmarks") && call.form.kind != AnswerForm::Kind::Table;
  bool wants_initial = query_flag(call.query, "sendInitialEvents");
  auto match = call.query.get_or("resourceVersionMatch", "");
  if (call.query.has("sendInitialEvents") && match != "NotOlderThan") {
    co_await send_error(call, invalid_field("meta.k8s.io", "ListOptions", "", "resourceVersionMatch", "FieldValueForbidden", "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    co_return;
  }
  if (!call.query.has("sendInitialEvents") && !match.empty()) {
    co_await send_error(call, invalid_field("meta.k8s.io", "ListOptions", "", "resourceVersionMatch", "FieldValueForbidden", "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
    co_return;
  }
  if (rv > store.revision()) {
    auto e = with_cause(timeout(fmt::format("Too large resource version: {}, current: {}", rv, store.revision())), "",
                        "ResourceVersionTooLarge", "Too large resource version");
    co_await send_error(call, std::move(e));
    co_return;
  }

  auto renderer = std::make_unique<Renderer>(Renderer{call, {}, nullptr});
  if (call.form.kind == AnswerForm::Kind::Table) {
    auto include = schema::parse_include_object(call.query.get_or("includeObject", ""));
    if (!include.ok()) { co_await send_error(call, bad_request(include.error().message)); co_return; }
    renderer->options.include_object = *include;
    renderer->format = call.s.schemas->table(info, call.info.version);
  }

  // From here to the follower nothing suspends: nothing can fall between the first state and the events.
  const Selection& sel = *selection;
  auto wanted = [&sel](const Event& e) { return shown(sel, e) != Shown::Nothing; };
  bool from_now = (rv == 0 && !(call.query.has("sendInitialEvents") && !wants_initial)) || wants_initial;
  bool too_old = !from_now && rv != 0 && rv < store.history().start();
  std::vector<StoredPtr> initial;
  std::vector<EventPtr> past;
  auto at_revision = store.revision();
  if (from_now)
    store.list(info.id, sel.ns(), "", [&](const StoredPtr& o) { if (sel.matches(*o)) initial.push_back(o); return true; });
  else if (!too_old && rv != 0)
    past = store.history().since(rv, info.id, wanted);
  auto follower = store.history().follow(info.id, wanted);
  asio::steady_timer timer(call.s.executor);
  follower->wake = [&timer] { timer.cancel(); };
  follower->queue.insert(follower->queue.begin(), past.begin(), past.end());
  past.clear();

  net::Headers headers{{"Content-Type", "application/json"}, {"Cache-Control", "no-cache, private"}};
  for (const auto& w : call.warnings) headers.add("Warning", "299 - \"" + w + "\"");
  auto begun = co_await call.response.begin(200, std::move(headers));
  if (!begun.ok()) co_return;

  std::string buffer;
  auto fail = [&buffer](const Error& e) { append_event(buffer, "ERROR", dump_json(status_object(e))); };
  bool ended = false;
  if (too_old) {
    fail(expired(fmt::format("too old resource version: {} ({})", rv, store.history().start())));
    ended = true;
  }
  for (std::size_t i = 0; i < initial.size() && !ended; ++i) {
    auto text = store.text(info.id, initial[i]);
    if (!text.ok()) continue;   // it changed: an event tells
    auto rendered = co_await renderer->render(*text, nullptr);
    if (!rendered.ok()) { fail(rendered.error()); ended = true; break; }
    append_event(buffer, "ADDED", **rendered);
    initial[i] = nullptr;
    if (buffer.size() > (64u << 10)) {
      auto wrote = co_await call.response.write(buffer);
      if (!wrote.ok()) co_return;
      buffer.clear();
    }
  }
  initial = {};
  if (wants_initial && !ended) append_event(buffer, "BOOKMARK", bookmark(call, at_revision, true));

  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  auto next_bookmark = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::stop_callback on_close(call.request.closed, [&timer] { timer.cancel(); });
  std::stop_callback on_stop(call.s.stop.get_token(), [&timer] { timer.cancel(); });
  while (true) {
    while (!ended && !follower->queue.empty() && buffer.size() < (64u << 10)) {
      auto event = follower->queue.front();
      follower->queue.pop_front();
      auto text = event->object->text;
      if (!text) continue;
      auto rendered = co_await renderer->render(text, event.get());
      if (!rendered.ok()) { fail(rendered.error()); ended = true; break; }
      append_event(buffer, name_of(shown(sel, *event)), **rendered);
    }
    if (follower->lagging && !ended) {
      fail(expired("the watcher is too slow; start again from its last resourceVersion"));
      ended = true;
    }
    if (!buffer.empty()) {
      auto wrote = co_await call.response.write(buffer);
      if (!wrote.ok()) co_return;
      buffer.clear();
      if (buffer.capacity() > (128u << 10)) buffer.shrink_to_fit();
    }
    if (ended) break;
    if (!follower->queue.empty() || follower->lagging) continue;
    auto now = std::chrono::steady_clock::now();
    if (call.request.closed.stop_requested()) co_return;
    if (call.s.stop.stop_requested() || now >= deadline) break;
    if (bookmarks && now >= next_bookmark) {
      append_event(buffer, "BOOKMARK", bookmark(call, store.revision(), false));
      next_bookmark = now + std::chrono::seconds(60);
      continue;
    }
    timer.expires_at(bookmarks ? std::min(deadline, next_bookmark) : deadline);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  auto finished = co_await call.response.finish();
  (void)finished;
}

}  // namespace nodevirt::apiserver
