#include "pkg/client/client.hpp"

#include "pkg/k8s/status.hpp"

namespace nodevirt::client {

namespace {

constexpr int kMaxDepth = 512;  // a list nests its items deeper than one object

std::string_view content_type(PatchType type) {
  switch (type) {
    case PatchType::Json: return "application/json-patch+json";
    case PatchType::Merge: return "application/merge-patch+json";
    case PatchType::StrategicMerge: return "application/strategic-merge-patch+json";
    case PatchType::Apply: return "application/apply-patch+yaml";  // JSON is YAML
  }
  return "application/json";
}

std::string with_query(std::string path, const net::Query& query) {
  return query.empty() ? path : path + "?" + query.to_string();
}

net::Query write_query(const WriteOptions& o) {
  net::Query q;
  if (!o.field_manager.empty()) q.add("fieldManager", o.field_manager);
  if (o.force) q.add("force", "true");
  if (o.dry_run) q.add("dryRun", "All");
  return q;
}

net::Request request_with_body(std::string method, std::string target, std::string_view type, const Json& body) {
  net::Request r;
  r.method = std::move(method);
  r.target = std::move(target);
  r.headers.set("Accept", "application/json");
  r.headers.set("Content-Type", std::string(type));
  r.body = dump_json(body);
  return r;
}

net::Request plain_request(std::string method, std::string target) {
  net::Request r;
  r.method = std::move(method);
  r.target = std::move(target);
  r.headers.set("Accept", "application/json");
  return r;
}

Awaitable<Result<Json>> exchange(std::shared_ptr<Transport> transport, net::Request request) {
  std::string what = request.method + " " + std::string(request.raw_path());
  auto response = co_await transport->send(std::move(request));
  if (!response.ok()) co_return response.error().with_context(what);
  if (response->status < 200 || response->status > 299) co_return k8s::error_of_response(response->status, response->body);
  auto value = parse_json(response->body, kMaxDepth);
  if (!value.ok()) co_return Error(Code::Internal, "", what + ": the server's answer: " + value.error().message);
  co_return std::move(*value);
}

Awaitable<Result<net::Response>> send_raw(std::shared_ptr<Transport> transport, net::Request request) {
  co_return co_await transport->send(std::move(request));
}

Awaitable<Result<Json>> refuse(Error error) { co_return error; }

Error name_missing(const k8s::Resource& r) {
  // An empty name would address the whole collection.
  return {Code::InvalidArgument, "BadRequest", fmt::format("{}: the name is empty", r.plural)};
}

}  // namespace

Client::Client(std::shared_ptr<Transport> transport) : transport_(std::move(transport)) {}

Awaitable<Result<Json>> Client::get(k8s::Resource r, std::string ns, std::string name) {
  if (name.empty()) return refuse(name_missing(r));
  net::Request request = plain_request("GET", r.path(ns, name));
  return exchange(transport_, std::move(request));
}

Awaitable<Result<Json>> Client::list(k8s::Resource r, std::string ns, ListOptions o) {
  net::Request request = plain_request("GET", list_target(r, ns, o));
  return exchange(transport_, std::move(request));
}

std::string list_target(const k8s::Resource& r, std::string_view ns, const ListOptions& o) {
  net::Query q;
  if (!o.label_selector.empty()) q.add("labelSelector", o.label_selector);
  if (!o.field_selector.empty()) q.add("fieldSelector", o.field_selector);
  if (!o.resource_version.empty()) q.add("resourceVersion", o.resource_version);
  if (!o.resource_version_match.empty()) q.add("resourceVersionMatch", o.resource_version_match);
  if (!o.continue_token.empty()) q.add("continue", o.continue_token);
  if (o.limit > 0) q.add("limit", std::to_string(o.limit));
  return with_query(r.path(ns), q);
}

Awaitable<Result<Json>> Client::create(k8s::Resource r, std::string ns, Json object, WriteOptions o) {
  net::Request request = request_with_body("POST", with_query(r.path(ns), write_query(o)), "application/json", object);
  return exchange(transport_, std::move(request));
}

Awaitable<Result<Json>> Client::create_subresource(k8s::Resource r, std::string ns, std::string name, std::string subresource,
                                                   Json object) {
  if (name.empty()) return refuse(name_missing(r));
  net::Request request = request_with_body("POST", r.path(ns, name, subresource), "application/json", object);
  return exchange(transport_, std::move(request));
}

Awaitable<Result<Json>> Client::replace(k8s::Resource r, std::string ns, std::string name, Json object, WriteOptions o) {
  if (name.empty()) return refuse(name_missing(r));
  net::Request request =
      request_with_body("PUT", with_query(r.path(ns, name, o.subresource), write_query(o)), "application/json", object);
  return exchange(transport_, std::move(request));
}

Awaitable<Result<Json>> Client::patch(k8s::Resource r, std::string ns, std::string name, PatchType type, Json patch,
                                      WriteOptions o) {
  if (name.empty()) return refuse(name_missing(r));
  net::Request request =
      request_with_body("PATCH", with_query(r.path(ns, name, o.subresource), write_query(o)), content_type(type), patch);
  return exchange(transport_, std::move(request));
}

Awaitable<Result<Json>> Client::remove(k8s::Resource r, std::string ns, std::string name, DeleteOptions o) {
  if (name.empty()) return refuse(name_missing(r));
  Json body = {{"kind", "DeleteOptions"}, {"apiVersion", "v1"}};
  if (!o.propagation.empty()) body["propagationPolicy"] = o.propagation;
  if (o.grace_period_seconds) body["gracePeriodSeconds"] = *o.grace_period_seconds;
  if (!o.uid.empty()) body["preconditions"]["uid"] = o.uid;
  if (!o.resource_version.empty()) body["preconditions"]["resourceVersion"] = o.resource_version;
  net::Request request = request_with_body("DELETE", r.path(ns, name), "application/json", body);
  return exchange(transport_, std::move(request));
}

Awaitable<Result<Json>> Client::list(k8s::Resource r, std::string ns) {
  return list(std::move(r), std::move(ns), ListOptions());
}

Awaitable<Result<Json>> Client::create(k8s::Resource r, std::string ns, Json object) {
  return create(std::move(r), std::move(ns), std::move(object), WriteOptions());
}

Awaitable<Result<Json>> Client::replace(k8s::Resource r, std::string ns, std::string name, Json object) {
  return replace(std::move(r), std::move(ns), std::move(name), std::move(object), WriteOptions());
}

Awaitable<Result<Json>> Client::patch(k8s::Resource r, std::string ns, std::string name, PatchType type, Json patch_body) {
  return patch(std::move(r), std::move(ns), std::move(name), type, std::move(patch_body), WriteOptions());
}

Awaitable<Result<Json>> Client::remove(k8s::Resource r, std::string ns, std::string name) {
  return remove(std::move(r), std::move(ns), std::move(name), DeleteOptions());
}

Awaitable<Result<net::Response>> Client::raw(net::Request request) {
  return send_raw(transport_, std::move(request));
}

}  // namespace nodevirt::client
