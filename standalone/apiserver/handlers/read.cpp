// GET of one object and of lists.
#include <charconv>

#include <fmt/format.h>

#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/handlers/call.hpp"
#include "standalone/apiserver/handlers/selection.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/apiserver/schema_cache.hpp"
#include "standalone/apiserver/service_resolver.hpp"

namespace nodevirt::apiserver {

Awaitable<void> handle_get(Call& call) {
  const auto& info = *call.resource;
  std::string ns = info.namespaced ? call.info.ns : "";
  // An exact revision is always satisfied or refused: only the latest state is kept.
  bool passes = call.form.kind == AnswerForm::Kind::Object && !call.form.yaml && Converter::same(info, call.info.version);
  if (passes) {
    auto stored = call.s.store->get(info.id, ns, call.info.name);
    if (!stored) { co_await send_error(call, not_found(info.group, info.plural, call.info.name)); co_return; }
    auto text = call.s.store->text(info.id, stored);
    if (text.ok()) { std::string body = **text; co_await send_json(call, 200, std::move(body)); co_return; }
  }
  auto object = co_await call.s.objects->get(call.resource, call.info.version, ns, call.info.name);
  if (!object.ok()) { co_await send_error(call, object.error()); co_return; }
  co_await send_object(call, 200, std::move(*object));
}

namespace {

struct ListQuery {
  std::int64_t limit = 0;
  std::string after;              ///< key of the last object of the page before
  std::int64_t first_revision = 0;///< of the first page
};

Result<ListQuery> parse_list_query(const Call& call) {
  ListQuery q;
  auto number = [](const std::string& text, std::int64_t& out) {
    auto [p, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
    return ec == std::errc() && p == text.data() + text.size() && out >= 0;
  };
  if (auto limit = call.query.get_or("limit", ""); !limit.empty() && !number(limit, q.limit))
    return bad_request(fmt::format("limit: \"{}\" is not a number", limit));
  auto now = call.s.store->revision();
  auto text = call.query.get_or("resourceVersion", "");
  auto match = call.query.get_or("resourceVersionMatch", "");
  if (auto token = call.query.get_or("continue", ""); !token.empty()) {
    std::string raw;
    auto json = base64_decode(token, raw) ? parse_json(raw) : Result<Json>(Error(Code::InvalidArgument, "not base64"));
    if (!json.ok() || !json->is_object()) return bad_request("continue key is not valid");
    q.after = string_at(*json, {"start"});
    q.first_revision = int_at(*json, {"rv"});
    if (q.after.empty()) return bad_request("continue key is not valid");
    // Later pages show the current state. Whoever then watches from the first page's revision is told of
    // everything that changed meanwhile, which is possible only while the history reaches that far back.
    if (q.first_revision < call.s.store->history().start())
      return expired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.");
    return q;
  }
  if (match != "" && match != "Exact" && match != "NotOlderThan")
    return bad_request(fmt::format("resourceVersionMatch: Unsupported value: \"{}\"", match));
  if (!match.empty() && text.empty()) return bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided");
  std::int64_t rv = 0;
  if (!text.empty() && !number(text, rv)) return bad_request(fmt::format("Invalid value: \"{}\": resourceVersion", text));
  if (rv > now) {
    auto e = timeout(fmt::format("Too large resource version: {}, current: {}", rv, now));
    e = with_causes(std::move(e), {{"", "ResourceVersionTooLarge", "Too large resource version"}});
    Json d = *e.details;
    d["retryAfterSeconds"] = 1;
    e.details = std::make_shared<const Json>(std::move(d));
    return e;
  }
  if (match == "Exact" && rv != 0 && rv != now)
    return expired(fmt::format("The resourceVersion for the provided list is too old ({}); only the current state is kept", rv));
  return q;
}

struct Page {
  std::vector<StoredPtr> items;
  std::string next;
  std::int64_t remaining = 0;
};

Page collect(const Call& call, const Selection& selection, const ListQuery& q) {
  Page page;
  call.s.store->list(call.resource->id, selection.ns(), q.after, [&](const StoredPtr& o) {
    if (!selection.matches(*o)) return true;
    if (q.limit > 0 && std::int64_t(page.items.size()) == q.limit) { ++page.remaining; return true; }
    page.items.push_back(o);
    return true;
  });
  return page;
}

}  // namespace

Awaitable<void> handle_list(Call& call) {
  const auto& info = *call.resource;
  auto selection = Selection::parse(call.query, call.resource, call.info.version, info.namespaced ? call.info.ns : "", "");
  if (!selection.ok()) { co_await send_error(call, selection.error()); co_return; }
  auto q = parse_list_query(call);
  if (!q.ok()) { co_await send_error(call, q.error()); co_return; }
  auto page = collect(call, *selection, *q);
  auto revision = q->first_revision ? q->first_revision : call.s.store->revision();
  Json metadata{{"resourceVersion", std::to_string(revision)}};
  if (page.remaining > 0) {
    Json token{{"v", "meta.k8s.io/v1"}, {"rv", revision}, {"start", page.items.back()->key()}};
    metadata["continue"] = base64_encode(dump_json(token));
    if (selection->everything()) metadata["remainingItemCount"] = page.remaining;
  }

  // Bytes as they are stored, in pieces; or one item at a time through conversion and rendering.
  using Kind = AnswerForm::Kind;
  bool table = call.form.kind == Kind::Table;
  bool partial = call.form.kind == Kind::PartialMetadataList || call.form.kind == Kind::PartialMetadata;
  bool passes = !table && !partial && Converter::same(info, call.info.version);
  schema::TableOptions options;
  std::shared_ptr<const schema::TableFormat> format;
  std::string head, tail = "]}\n";
  if (table) {
    auto include = schema::parse_include_object(call.query.get_or("includeObject", ""));
    if (!include.ok()) { co_await send_error(call, bad_request(include.error().message)); co_return; }
    options.include_object = *include;
    options.now = call.s.clock().wall();
    format = call.s.schemas->table(info, call.info.version);
    head = fmt::format(R"({{"kind":"Table","apiVersion":"meta.k8s.io/{}","metadata":{},"columnDefinitions":{},"rows":[)",
                       call.form.version, dump_json(metadata), dump_json(format->columns()));
  } else if (partial) {
    head = fmt::format(R"({{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/{}","metadata":{},"items":[)", call.form.version, dump_json(metadata));
  } else {
    head = fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{},"items":[)", info.list_kind, info.api_version(call.info.version), dump_json(metadata));
  }

  constexpr std::size_t kPiece = 128u << 10;
  std::string buffer = std::move(head);
  bool streaming = false, first = true;
  constexpr std::size_t kBatch = 64;   // objects converted with one call of a webhook
  for (std::size_t at = 0; at < page.items.size(); at += kBatch) {
    auto end = std::min(at + kBatch, page.items.size());
    std::vector<Json> objects;
    for (std::size_t i = at; i < end; ++i) {
      auto text = call.s.store->text(info.id, page.items[i]);
      if (!text.ok()) {   // a large object changed meanwhile: its current state will do
        auto current = call.s.store->get(info.id, page.items[i]->ns, page.items[i]->name);
        if (!current) continue;
        text = call.s.store->text(info.id, current);
        if (!text.ok()) continue;
      }
      if (passes && !call.form.yaml) {
        if (!first) buffer += ',';
        first = false;
        buffer += **text;
        if (buffer.size() >= kPiece) {
          if (!streaming) {
            net::Headers h{{"Content-Type", "application/json"}};
            auto begun = co_await call.response.begin(200, std::move(h));
            if (!begun.ok()) co_return;
            streaming = true;
          }
          auto wrote = co_await call.response.write(buffer);
          if (!wrote.ok()) co_return;
          buffer.clear();
        }
        continue;
      }
      auto parsed = parse_json(**text, 512);
      if (parsed.ok()) objects.push_back(std::move(*parsed));
    }
    if (objects.empty()) continue;
    auto converted = co_await call.s.converter->to_version(call.resource, std::move(objects), call.info.version);
    if (!converted.ok()) {
      if (!streaming) co_await send_error(call, converted.error());
      co_return;
    }
    for (auto& object : *converted) {
      if (!first) buffer += ',';
      first = false;
      if (table) buffer += dump_json(schema::render_row(*format, object, options));
      else if (partial) buffer += dump_json({{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/" + call.form.version}, {"metadata", std::move(object["metadata"])}});
      else buffer += dump_json(object);
    }
  }
  buffer += tail;
  if (streaming) {
    auto wrote = co_await call.response.write(buffer);
    if (wrote.ok()) { auto done = co_await call.response.finish(); (void)done; }
    co_return;
  }
  if (call.form.yaml) {
    auto all = parse_json(buffer, 512);
    if (all.ok()) { co_await send_value(call, 200, std::move(*all)); co_return; }
  }
  co_await send_json(call, 200, std::move(buffer));
}

}  // namespace nodevirt::apiserver
