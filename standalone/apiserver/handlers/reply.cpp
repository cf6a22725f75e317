#include <fmt/format.h>

#include "standalone/apiserver/handlers/call.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/apiserver/schema_cache.hpp"

namespace nodevirt::apiserver {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

net::Headers reply_headers(const Call& call, const std::string& content_type) {
  net::Headers h;
  h.set("Content-Type", content_type);
  h.set("Cache-Control", "no-cache, private");
  for (const auto& [k, v] : call.headers) h.add(k, v);
  for (const auto& w : call.warnings) h.add("Warning", "299 - " + quoted(w));
  return h;
}

}  // namespace

Awaitable<void> send_json(Call& call, int status, std::string body, std::string content_type) {
  net::Response r;
  r.status = status;
  r.headers = reply_headers(call, content_type);
  r.body = std::move(body);
  if (call.request.method == "HEAD") r.body.clear();
  auto sent = co_await call.response.send(std::move(r));
  (void)sent;   // the client went away
}

Awaitable<void> send_value(Call& call, int status, Json value) {
  if (call.form.yaml) {
    auto text = json_to_yaml(value);
    co_await send_json(call, status, std::move(text), "application/yaml");
    co_return;
  }
  auto text = dump_json(value);
  value = nullptr;
  co_await send_json(call, status, std::move(text));
}

Awaitable<void> send_text(Call& call, int status, std::string body) {
  co_await send_json(call, status, std::move(body), "text/plain; charset=utf-8");
}

Awaitable<void> send_error(Call& call, Error error) {
  int code = http_status(error);
  Json status = status_object(error);
  if (error.details)
    if (auto after = int_at(*error.details, {"retryAfterSeconds"}); after > 0) call.headers.emplace_back("Retry-After", std::to_string(after));
  call.form.kind = AnswerForm::Kind::Object;
  co_await send_value(call, code, std::move(status));
}

Awaitable<void> send_object(Call& call, int status, Json object) {
  if (call.form.kind == AnswerForm::Kind::Table) {
    auto include = schema::parse_include_object(call.query.get_or("includeObject", ""));
    if (!include.ok()) { co_await send_error(call, bad_request(include.error().message)); co_return; }
    schema::TableOptions o;
    o.include_object = *include;
    o.now = call.s.clock().wall();
    o.list_metadata = {{"resourceVersion", string_at(object, {"metadata", "resourceVersion"})}};
    auto format = call.s.schemas->table(*call.resource, call.info.version);
    const Json* one = &object;
    Json table = schema::render_table(*format, std::span<const Json* const>(&one, 1), o);
    co_await send_value(call, status, std::move(table));
    co_return;
  }
  if (call.form.kind == AnswerForm::Kind::PartialMetadata) {
    Json partial{{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/" + call.form.version}, {"metadata", std::move(object["metadata"])}};
    co_await send_value(call, status, std::move(partial));
    co_return;
  }
  co_await send_value(call, status, std::move(object));
}

Json success_status(const ResourceInfo& info, const std::string& name, const std::string& uid) {
  Json details{{"kind", info.plural}};
  if (!info.group.empty()) details["group"] = info.group;
  if (!name.empty()) details["name"] = name;
  if (!uid.empty()) details["uid"] = uid;
  return {{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Json::object()}, {"status", "Success"}, {"details", std::move(details)}};
}

bool query_flag(const net::Query& query, std::string_view name) {
  auto v = query.get(name);
  return v && (v->empty() || *v == "true" || *v == "1");
}

std::string default_manager(const net::Request& request) {
  auto agent = request.headers.get("User-Agent");
  auto manager = std::string(agent.substr(0, agent.find('/')));
  if (manager.size() > 128) manager.resize(128);
  for (char c : manager) if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) return "unknown";
  return manager.empty() ? "unknown" : manager;
}

Result<WriteContext> write_context(Call& call) {
  WriteContext c;
  c.resource = call.resource;
  c.version = call.info.version;
  c.ns = call.info.ns;
  if (!call.resource->namespaced) c.ns.clear();
  c.name = call.info.name;
  c.subresource = call.info.subresource;
  c.user = call.user;
  for (const auto& v : call.query.all("dryRun")) {
    if (v != "All")
      return invalid("meta.k8s.io", "Options", "", {{"dryRun", "FieldValueNotSupported", fmt::format("Unsupported value: \"{}\": supported values: \"All\"", v)}});
    c.dry_run = true;
  }
  auto validation = call.query.get_or("fieldValidation", "Warn");
  if (validation == "Strict") c.field_validation = FieldValidation::Strict;
  else if (validation == "Warn" || validation.empty()) c.field_validation = FieldValidation::Warn;
  else if (validation == "Ignore") c.field_validation = FieldValidation::Ignore;
  else return invalid("meta.k8s.io", "Options", "", {{"fieldValidation", "FieldValueNotSupported", fmt::format("Unsupported value: \"{}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"", validation)}});
  c.manager = call.query.get_or("fieldManager", "");
  if (c.manager.size() > 128) return bad_request("fieldManager may be at most 128 characters long");
  if (c.manager.empty()) c.manager = default_manager(call.request);
  return c;
}

}  // namespace nodevirt::apiserver
