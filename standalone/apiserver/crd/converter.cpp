#include "standalone/apiserver/crd/converter.hpp"

#include <fmt/format.h>

#include "pkg/base/id.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/service_resolver.hpp"

namespace nodevirt::apiserver {

bool Converter::same(const ResourceInfo& r, const std::string& version) {
  return !r.from_stored && r.storage().name == version;
}

Awaitable<Result<Json>> Converter::to_version(ResourcePtr r, Json object, std::string version) {
  if (r->from_stored && string_at(object, {"apiVersion"}) != r->api_version(version)) {
    r->from_stored(object);
    co_return object;
  }
  if (string_at(object, {"apiVersion"}) == r->api_version(version) || !r->custom) co_return object;
  std::vector<Json> one;
  one.push_back(std::move(object));
  auto converted = co_await to_version(std::move(r), std::move(one), std::move(version));
  if (!converted.ok()) co_return Error(converted.error());
  co_return std::move(converted->front());
}

Awaitable<Result<std::vector<Json>>> Converter::to_version(ResourcePtr r, std::vector<Json> objects, std::string version) {
  auto wanted = r->api_version(version);
  if (r->from_stored) {
    for (auto& o : objects) if (string_at(o, {"apiVersion"}) != wanted) r->from_stored(o);
    co_return objects;
  }
  if (!r->custom) co_return objects;
  if (string_at(r->conversion, {"strategy"}) != "Webhook") {
    for (auto& o : objects) o["apiVersion"] = wanted;
    co_return objects;
  }
  std::vector<std::size_t> which;
  Json send = Json::array();
  for (std::size_t i = 0; i < objects.size(); ++i)
    if (string_at(objects[i], {"apiVersion"}) != wanted) {
      which.push_back(i);
      send.push_back(objects[i]);
    }
  if (which.empty()) co_return objects;

  auto failed = [&](const std::string& why) {
    return internal_error(fmt::format("conversion webhook for {}, Kind={} failed: {}", string_at(send.empty() ? objects.front() : objects[which.front()], {"apiVersion"}), r->kind, why));
  };
  Json config = Json::object();
  if (const Json* c = find(r->conversion, {"webhook", "clientConfig"})) config = *c;
  auto target = s_.resolver->target(config, std::chrono::seconds(30));
  if (!target.ok()) co_return failed(target.error().message);
  auto uid = new_uuid();
  net::Request req;
  req.method = "POST";
  req.target = target->path + (target->path.find('?') == std::string::npos ? "?timeout=30s" : "&timeout=30s");
  req.headers.set("Content-Type", "application/json");
  req.headers.set("Accept", "application/json");
  Json review{{"apiVersion", "apiextensions.k8s.io/v1"}, {"kind", "ConversionReview"},
              {"request", {{"uid", uid}, {"desiredAPIVersion", wanted}, {"objects", std::move(send)}}}};
  req.body = dump_json(review);
  review = nullptr;
  send = Json::array();
  auto sent = co_await target->client->send(std::move(req));
  if (!sent.ok()) co_return failed(fmt::format("Post \"{}\": {}", target->shown, sent.error().message));
  if (sent->status != 200) co_return failed(fmt::format("Post \"{}\": the server answered {}", target->shown, sent->status));
  auto answer = parse_json(sent->body, 512);
  if (!answer.ok()) co_return failed(answer.error().message);
  if (string_at(*answer, {"response", "uid"}) != uid) co_return failed("the answer's uid is not the request's");
  if (string_at(*answer, {"response", "result", "status"}) != "Success")
    co_return failed(string_at(*answer, {"response", "result", "message"}, "no reason given"));
  const Json* converted = find(*answer, {"response", "convertedObjects"});
  if (!converted || !converted->is_array() || converted->size() != which.size())
    co_return failed(fmt::format("{} objects were sent, {} came back", which.size(), converted && converted->is_array() ? converted->size() : 0));
  for (std::size_t i = 0; i < which.size(); ++i) {
    Json one = (*converted)[i];
    auto& old = objects[which[i]];
    if (string_at(one, {"apiVersion"}) != wanted || string_at(one, {"kind"}) != string_at(old, {"kind"}))
      co_return failed("an object came back in another version or kind");
    // Metadata is not the webhook's, except labels and annotations.
    Json metadata = old.value("metadata", Json::object());
    for (const char* key : {"labels", "annotations"}) {
      metadata.erase(key);
      if (const Json* v = find(one, {"metadata", key}); v && !v->is_null()) metadata[key] = *v;
    }
    one["metadata"] = std::move(metadata);
    old = std::move(one);
  }
  co_return objects;
}

}  // namespace nodevirt::apiserver
