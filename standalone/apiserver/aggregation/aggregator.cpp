#include "standalone/apiserver/aggregation/aggregator.hpp"

#include <algorithm>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "pkg/base/log.hpp"
#include "pkg/net/byte_stream.hpp"
#include "standalone/apiserver/crd/definition.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/apiserver/service_resolver.hpp"

namespace nodevirt::apiserver {

namespace asio = boost::asio;

namespace {

const std::string kApiServices = "apiservices.apiregistration.k8s.io";

// Headers that are between two neighbours only, and who-is-asking, which is ours to say.
bool passes(std::string_view name, bool upgrade) {
  std::string n(name);
  for (auto& c : n) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (n.starts_with("x-remote-") || n.starts_with("impersonate-")) return false;
  for (const char* hop : {"keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "content-length",
                          "host", "authorization", "expect"})
    if (n == hop) return false;
  if (n == "connection" || n == "upgrade") return upgrade;
  return true;
}

void say_who(net::Headers& h, const UserInfo& u) {
  h.add("X-Remote-User", u.name);
  if (!u.uid.empty()) h.add("X-Remote-Uid", u.uid);
  for (const auto& g : u.groups) h.add("X-Remote-Group", g);
  for (const auto& [k, values] : u.extra)
    for (const auto& v : values) h.add("X-Remote-Extra-" + net::percent_encode(k), v);
}

}  // namespace

const std::map<std::string, Aggregator::Service>& Aggregator::services() {
  std::vector<StoredPtr> now;
  s_.store->list(kApiServices, "", "", [&now](const StoredPtr& o) { now.push_back(o); return true; });
  if (now == from_) return services_;
  services_.clear();
  for (const auto& stored : now) {
    auto text = s_.store->text(kApiServices, stored);
    auto o = text.ok() ? parse_json(**text) : Result<Json>(text.error());
    if (!o.ok()) continue;
    const Json* ref = find(*o, {"spec", "service"});
    if (!ref || !ref->is_object()) continue;   // a local one
    Service a;
    a.name = stored->name;
    a.revision = stored->revision;
    a.group = string_at(*o, {"spec", "group"});
    a.version = string_at(*o, {"spec", "version"});
    a.ns = string_at(*ref, {"namespace"});
    a.service = string_at(*ref, {"name"});
    a.port = int_at(*ref, {"port"}, 443);
    a.insecure = bool_at(*o, {"spec", "insecureSkipTLSVerify"});
    a.group_priority = int_at(*o, {"spec", "groupPriorityMinimum"});
    a.version_priority = int_at(*o, {"spec", "versionPriority"});
    (void)base64_decode(string_at(*o, {"spec", "caBundle"}), a.ca);
    services_[a.group + "/" + a.version] = std::move(a);
  }
  from_ = std::move(now);
  return services_;
}

bool Aggregator::serves(const std::string& group, const std::string& version) {
  if (group.empty()) return false;
  // What this server has itself cannot be taken over.
  return services().contains(group + "/" + version) && s_.registry.in(group, version).empty();
}

std::vector<std::pair<std::string, std::vector<std::string>>> Aggregator::groups() {
  std::map<std::string, std::vector<const Service*>> by_group;
  for (const auto& [key, a] : services())
    if (s_.registry.in(a.group, a.version).empty()) by_group[a.group].push_back(&a);
  std::vector<std::pair<std::string, std::vector<std::string>>> out;
  for (auto& [group, list] : by_group) {
    std::stable_sort(list.begin(), list.end(), [](const Service* a, const Service* b) {
      return a->version_priority != b->version_priority ? a->version_priority > b->version_priority : version_precedes(a->version, b->version);
    });
    std::vector<std::string> versions;
    for (auto* a : list) versions.push_back(a->version);
    out.emplace_back(group, std::move(versions));
  }
  return out;
}

Awaitable<void> Aggregator::proxy(Call& call) {
  std::string group = call.info.group, version = call.info.version;
  if (group.empty()) {   // /apis/GROUP/VERSION itself
    auto path = call.info.path.substr(6);
    group = path.substr(0, path.find('/'));
    version = path.substr(path.find('/') + 1);
    version = version.substr(0, version.find('/'));
  }
  auto it = services().find(group + "/" + version);
  if (it == services_.end()) { co_await send_error(call, no_such_path()); co_return; }
  auto target = s_.resolver->target(it->second.ns, it->second.service, it->second.port, "/", it->second.ca, it->second.insecure, std::chrono::hours(1));
  if (!target.ok()) { co_await send_error(call, unavailable(target.error().message)); co_return; }

  net::Request out;
  out.method = call.request.method;
  out.target = call.request.target;
  bool upgrade = call.request.headers.has("Upgrade");
  for (const auto& [k, v] : call.request.headers) if (passes(k, upgrade)) out.headers.add(k, v);
  say_who(out.headers, call.user);
  auto peer = call.request.peer.address;
  out.headers.add("X-Forwarded-For", peer.substr(0, peer.rfind(':')));
  out.body = std::move(call.request.body);

  auto client = target->client;
  if (upgrade) {
    auto upgraded = co_await client->upgrade(std::move(out));
    if (!upgraded.ok()) { co_await send_error(call, unavailable(fmt::format("error trying to reach service: {}", upgraded.error().message))); co_return; }
    if (!upgraded->stream) {
      auto sent = co_await call.response.send(std::move(upgraded->head));
      (void)sent;
      co_return;
    }
    net::Headers headers;
    for (const auto& [k, v] : upgraded->head.headers) headers.add(k, v);
    auto mine = co_await call.response.hijack(std::move(headers));
    if (!mine.ok()) co_return;
    std::shared_ptr<net::ByteStream> a = std::move(*mine), b = std::move(upgraded->stream);
    co_await net::splice(a, b);
    co_return;
  }
  auto opened = co_await client->open(std::move(out));
  if (!opened.ok()) { co_await send_error(call, unavailable(fmt::format("error trying to reach service: {}", opened.error().message))); co_return; }
  auto& reader = **opened;
  net::Headers headers;
  for (const auto& [k, v] : reader.head().headers) if (passes(k, false)) headers.add(k, v);
  int status = reader.head().status;
  auto first = co_await reader.read();
  if (!first.ok()) { co_await send_error(call, unavailable(fmt::format("error trying to reach service: {}", first.error().message))); co_return; }
  if (first->empty()) {
    net::Response empty;
    empty.status = status;
    empty.headers = std::move(headers);
    auto sent = co_await call.response.send(std::move(empty));
    (void)sent;
    co_return;
  }
  auto begun = co_await call.response.begin(status, std::move(headers));
  if (!begun.ok()) co_return;
  std::stop_callback on_close(call.request.closed, [&reader] { reader.abort(); });
  std::string piece = std::move(*first);
  while (!piece.empty()) {
    auto wrote = co_await call.response.write(piece);
    if (!wrote.ok()) co_return;
    auto next = co_await reader.read();
    if (!next.ok()) co_return;   // a broken stream must not look like a whole one
    piece = std::move(*next);
  }
  auto finished = co_await call.response.finish();
  (void)finished;
}

Awaitable<Result<Json>> Aggregator::resources(Service a) {
  auto target = s_.resolver->target(a.ns, a.service, a.port, "/", a.ca, a.insecure, std::chrono::seconds(5));
  if (!target.ok()) co_return Error(target.error());
  net::Request req;
  req.target = fmt::format("/apis/{}/{}", a.group, a.version);
  req.headers.set("Accept", "application/json");
  UserInfo self{"system:kube-aggregator", "", {"system:masters"}, {}};
  say_who(req.headers, self);
  auto client = target->client;
  auto sent = co_await client->send(std::move(req));
  if (!sent.ok()) co_return Error(sent.error());
  if (sent->status != 200) co_return unavailable(fmt::format("failing or missing response from {}: bad status: {}", target->shown, sent->status));
  NV_CO_TRY(auto list, parse_json(sent->body));
  co_return list;
}

Awaitable<std::vector<Json>> Aggregator::discovery() {
  std::vector<Json> out;
  auto all = groups();
  for (const auto& [group, versions] : all) {
    Json shown = Json::array();
    for (const auto& version : versions) {
      auto it = services().find(group + "/" + version);
      if (it == services_.end()) continue;
      Service a = it->second;
      auto& known = discovered_[a.name];
      bool fresh = true;
      if (known.resources.is_null() || known.at + std::chrono::minutes(1) < std::chrono::steady_clock::now()) {
        auto list = co_await resources(a);
        auto& entry = discovered_[a.name];
        fresh = list.ok();
        if (list.ok()) {
          entry.resources = list->value("resources", Json::array());
          entry.at = std::chrono::steady_clock::now();
        }
      }
      Json rows = Json::array();
      std::map<std::string, Json> subs;
      const Json known_resources = discovered_[a.name].resources.is_array() ? discovered_[a.name].resources : Json::array();
      for (const auto& r : known_resources) {
        auto name = string_at(r, {"name"});
        Json kind{{"group", string_at(r, {"group"}, group)}, {"version", string_at(r, {"version"}, version)}, {"kind", string_at(r, {"kind"})}};
        if (auto slash = name.find('/'); slash != std::string::npos) {
          auto& list = subs[name.substr(0, slash)];
          if (!list.is_array()) list = Json::array();
          list.push_back({{"subresource", name.substr(slash + 1)}, {"verbs", r.value("verbs", Json::array())}, {"responseKind", std::move(kind)}});
          continue;
        }
        Json row{{"resource", name}, {"responseKind", std::move(kind)}, {"scope", bool_at(r, {"namespaced"}) ? "Namespaced" : "Cluster"},
                 {"singularResource", string_at(r, {"singularName"})}, {"verbs", r.value("verbs", Json::array())}};
        for (const char* key : {"shortNames", "categories"}) if (r.contains(key)) row[key] = r[key];
        rows.push_back(std::move(row));
      }
      for (auto& [parent, list] : subs) {
        auto row = std::find_if(rows.begin(), rows.end(), [&parent = parent](const Json& r) { return string_at(r, {"resource"}) == parent; });
        if (row != rows.end()) (*row)["subresources"] = std::move(list);
        else rows.push_back({{"resource", parent}, {"scope", "Namespaced"}, {"singularResource", ""}, {"verbs", Json::array()}, {"subresources", std::move(list)}});
      }
      shown.push_back({{"version", version}, {"freshness", fresh ? "Current" : "Stale"}, {"resources", std::move(rows)}});
    }
    out.push_back({{"metadata", {{"name", group}, {"creationTimestamp", nullptr}}}, {"versions", std::move(shown)}});
  }
  co_return out;
}

Awaitable<void> Aggregator::check(Service a) {
  auto list = co_await resources(a);
  if (list.ok()) {
    auto& entry = discovered_[a.name];
    entry.resources = list->value("resources", Json::array());
    entry.at = std::chrono::steady_clock::now();
  }
  auto now = s_.clock().wall();
  std::string status = list.ok() ? "True" : "False", reason = list.ok() ? "Passed" : "FailedDiscoveryCheck";
  std::string message = list.ok() ? "all checks passed" : list.error().message;
  if (message.size() > 500) message.resize(500);
  std::function<Result<bool>(Json&)> change = [=](Json& o) -> Result<bool> {
    // A message that only differs in its wording is no transition.
    if (const Json* conditions = find(o, {"status", "conditions"}); conditions && conditions->is_array())
      for (const auto& c : *conditions)
        if (string_at(c, {"type"}) == "Available" && string_at(c, {"status"}) == status && string_at(c, {"reason"}) == reason) return false;
    return set_condition(o, "Available", status, reason, message, now);
  };
  auto resource = s_.registry.by_id(kApiServices);
  auto done = co_await s_.objects->modify(resource, "", a.name, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") log::warning("APIService {}: {}", a.name, done.error().message);
}

Awaitable<void> Aggregator::run(StopToken stop) {
  auto follower = s_.store->history().follow(kApiServices, nullptr);
  asio::steady_timer timer(s_.executor);
  follower->wake = [&timer] { timer.cancel(); };
  std::stop_callback on_stop(stop, [&timer] { timer.cancel(); });
  while (!stop.stop_requested()) {
    follower->queue.clear();
    bool all_available = true;
    auto copy = services();
    for (const auto& [key, a] : copy) {
      if (stop.stop_requested()) co_return;
      co_await check(a);
      auto it = discovered_.find(a.name);
      all_available &= it != discovered_.end() && it->second.at + std::chrono::seconds(60) > std::chrono::steady_clock::now();
    }
    // Local ones are always available; their condition is set once.
    std::vector<std::string> local;
    s_.store->list(kApiServices, "", "", [&](const StoredPtr& o) {
      bool remote = std::any_of(copy.begin(), copy.end(), [&o](const auto& e) { return e.second.name == o->name; });
      if (!remote) local.push_back(o->name);
      return true;
    });
    auto resource = s_.registry.by_id(kApiServices);
    for (const auto& name : local) {
      auto now = s_.clock().wall();
      std::function<Result<bool>(Json&)> change = [now](Json& o) -> Result<bool> {
        return set_condition(o, "Available", "True", "Local", "Local APIServices are always available", now);
      };
      auto done = co_await s_.objects->modify(resource, "", name, std::move(change));
      (void)done;
    }
    // Our own condition writes come back as events; they are no reason to check again at once.
    follower->queue.clear();
    timer.expires_after(all_available ? std::chrono::seconds(30) : std::chrono::seconds(2));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace nodevirt::apiserver
