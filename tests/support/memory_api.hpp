// A few collections of objects behind client::Transport, with watches: enough for the controllers that are
// tested below the embedded API server. Patches: JSON, merge, and strategic merge of conditions by type.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "pkg/base/clock.hpp"
#include "pkg/base/id.hpp"
#include "pkg/client/client.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "pkg/k8s/merge_patch.hpp"
#include "pkg/k8s/status.hpp"

namespace nodevirt::testing {

class MemoryApi : public client::Transport {
 public:
  struct Event {
    std::string collection, type;
    Json object;
  };

  /// Every request, as "METHOD path".
  std::vector<std::string> requests;
  /// What happens from here on is not told to watches before this is false again and something more happens.
  bool hold_watches = false;
  /// May fail a request before it is done.
  std::function<std::optional<Error>(const net::Request&)> fault;

  const Json* get(const k8s::Resource& r, const std::string& ns, const std::string& name) const {
    const auto it = objects_.find(key(r.group, r.plural, ns, name));
    return it == objects_.end() ? nullptr : &it->second;
  }
  /// Creates or replaces.
  Json put(const k8s::Resource& r, Json object) {
    object["apiVersion"] = r.api_version();
    object["kind"] = r.kind;
    const std::string k = key(r.group, r.plural, string_at(object, {"metadata", "namespace"}), string_at(object, {"metadata", "name"}));
    const bool fresh = !objects_.contains(k);
    if (string_at(object, {"metadata", "uid"}).empty()) object["metadata"]["uid"] = fresh ? new_uuid() : string_at(objects_[k], {"metadata", "uid"});
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    objects_[k] = object;
    tell(k, fresh ? "ADDED" : "MODIFIED", object);
    return object;
  }
  void erase(const k8s::Resource& r, const std::string& ns, const std::string& name) { drop(key(r.group, r.plural, ns, name)); }

  Awaitable<Result<net::Response>> send(net::Request request) override {
    requests.push_back(request.method + " " + request.path());
    if (fault)
      if (auto error = fault(request)) co_return std::move(*error);
    co_return answer(request);
  }
  Awaitable<Result<std::unique_ptr<net::BodyReader>>> open(net::Request request) override {
    auto executor = co_await boost::asio::this_coro::executor;
    const auto path = split(request.path());
    const auto query = request.query();
    auto reader = std::make_unique<Reader>(executor, this, path.group + "/" + path.plural + "/" + (path.ns.empty() ? "" : path.ns + "/"),
                                           query.get_or("fieldSelector", ""), std::strtoull(query.get_or("resourceVersion", "0").c_str(), nullptr, 10));
    co_return std::unique_ptr<net::BodyReader>(std::move(reader));
  }
  Awaitable<Result<std::unique_ptr<net::WebSocket>>> websocket(net::Request, std::vector<std::string>) override {
    co_return Error(Code::Unimplemented, "no WebSockets here");
  }

 private:
  struct Path {
    std::string group, plural, ns, name, subresource;
  };
  struct Reader final : net::BodyReader {
    Reader(const Executor& e, MemoryApi* a, std::string p, std::string selector, std::uint64_t from)
        : timer(e, boost::asio::steady_timer::time_point::max()), api(a), prefix(std::move(p)), field_selector(std::move(selector)) {
      while (next < api->log_.size() && api->log_[next].first <= from) ++next;
      api->readers_.push_back(this);
    }
    ~Reader() override { std::erase(api->readers_, this); }
    const net::Response& head() const override { return response; }
    Awaitable<Result<std::string>> read() override {
      while (!aborted) {
        while (!api->hold_watches && next < api->log_.size()) {
          const auto& event = api->log_[next++].second;
          if (!event.collection.starts_with(prefix) || !selected(event.object, field_selector)) continue;
          Json line{{"type", event.type}, {"object", event.object}};
          co_return dump_json(line) + "\n";
        }
        timer.expires_at(boost::asio::steady_timer::time_point::max());
        co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
      }
      co_return Error(Code::Cancelled, "aborted");
    }
    void abort() override {
      aborted = true;
      timer.cancel();
    }
    net::Response response;
    boost::asio::steady_timer timer;
    MemoryApi* api;
    std::string prefix, field_selector;
    std::size_t next = 0;
    bool aborted = false;
  };

  static bool selected(const Json& object, const std::string& selector) {
    const auto eq = selector.find('=');
    if (eq == std::string::npos) return true;
    const Json* at = &object;
    std::istringstream steps(selector.substr(0, eq));
    for (std::string step; std::getline(steps, step, '.');) {
      at = find(*at, {step});
      if (!at) return false;
    }
    return at->is_string() && at->get<std::string>() == selector.substr(eq + 1);
  }
  static std::string key(const std::string& group, const std::string& plural, const std::string& ns, const std::string& name) {
    return group + "/" + plural + "/" + ns + "/" + name;
  }
  static Path split(const std::string& path) {
    std::vector<std::string> parts;
    std::istringstream in(path);
    for (std::string p; std::getline(in, p, '/');)
      if (!p.empty()) parts.push_back(p);
    Path out;
    std::size_t i = 2;
    if (parts[0] == "apis") out.group = parts[1], i = 3;
    if (i + 2 < parts.size() && parts[i] == "namespaces") out.ns = parts[i + 1], i += 2;
    if (i < parts.size()) out.plural = parts[i++];
    if (i < parts.size()) out.name = parts[i++];
    if (i < parts.size()) out.subresource = parts[i];
    return out;
  }
  static net::Response json(int status, const Json& body) {
    net::Response r;
    r.status = status;
    r.body = dump_json(body);
    return r;
  }
  static net::Response failure(const Error& e) { return json(k8s::http_status(e), k8s::status_object(e)); }

  void tell(const std::string& collection, const char* type, const Json& object) {
    log_.emplace_back(version_, Event{collection, type, object});
    for (auto* r : readers_) r->timer.cancel();
  }
  void drop(const std::string& k) {
    const auto it = objects_.find(k);
    if (it == objects_.end()) return;
    Json object = it->second;
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    objects_.erase(it);
    tell(k, "DELETED", object);
  }

  static void strategic(Json& target, const Json& patch) {
    if (!patch.is_object()) {
      target = patch;
      return;
    }
    if (!target.is_object()) target = Json::object();
    for (const auto& [name, value] : patch.items()) {
      if (value.is_null()) target.erase(name);
      else if (name == "conditions" && value.is_array()) {
        for (const auto& c : value) {
          Json* same = nullptr;
          if (target.contains(name))
            for (auto& o : target[name])
              if (string_at(o, {"type"}) == string_at(c, {"type"})) same = &o;
          if (!same) {
            target[name].push_back(Json::object());
            same = &target[name].back();
          }
          strategic(*same, c);
        }
      } else if (value.is_object()) strategic(target[name], value);
      else target[name] = value;
    }
  }

  net::Response answer(const net::Request& request) {
    const auto path = split(request.path());
    const std::string k = key(path.group, path.plural, path.ns, path.name);
    const auto it = objects_.find(k);
    if (request.method == "POST") {
      auto body = parse_json(request.body);
      if (!body.ok()) return failure(body.error());
      const std::string name = string_at(*body, {"metadata", "name"});
      if (!path.ns.empty()) (*body)["metadata"]["namespace"] = path.ns;
      const std::string full = key(path.group, path.plural, path.ns, name);
      if (objects_.contains(full)) return failure(k8s::already_exists(path.plural, name));
      (*body)["metadata"]["uid"] = new_uuid();
      (*body)["metadata"]["resourceVersion"] = std::to_string(++version_);
      objects_[full] = *body;
      tell(full, "ADDED", *body);
      return json(201, *body);
    }
    if (path.name.empty()) {
      Json list{{"kind", "List"}, {"apiVersion", "v1"}, {"items", Json::array()}};
      list["metadata"]["resourceVersion"] = std::to_string(version_);
      const std::string prefix = path.group + "/" + path.plural + "/" + (path.ns.empty() ? "" : path.ns + "/");
      for (const auto& [name, object] : objects_)
        if (name.starts_with(prefix) && selected(object, request.query().get_or("fieldSelector", ""))) list["items"].push_back(object);
      return json(200, list);
    }
    if (it == objects_.end()) return failure(k8s::not_found(path.plural, path.name));
    if (request.method == "GET") return json(200, it->second);
    auto body = parse_json(request.body.empty() ? "{}" : request.body);
    if (!body.ok()) return failure(body.error());
    Json next = it->second;
    const std::string uid = string_at(it->second, {"metadata", "uid"});
    if (request.method == "DELETE") {
      const std::string wanted = string_at(*body, {"preconditions", "uid"});
      if (!wanted.empty() && wanted != uid) return failure(k8s::conflict(path.plural, path.name, "uid"));
      const Json* finalizers = find(it->second, {"metadata", "finalizers"});
      const bool graceful = path.plural == "pods" && int_at(*body, {"gracePeriodSeconds"}, 30) > 0;
      if (!graceful && (!finalizers || finalizers->empty())) {
        drop(k);
        return json(200, next);
      }
      next["metadata"]["deletionTimestamp"] = format_time(system_clock().wall());
    } else if (request.headers.get("Content-Type") == "application/json-patch+json") {
      auto patched = k8s::apply_json_patch(next, *body);
      if (!patched.ok()) return failure(patched.error());
      next = std::move(*patched);
    } else {
      const std::string wanted = string_at(*body, {"metadata", "uid"}), rv = string_at(*body, {"metadata", "resourceVersion"});
      if ((!wanted.empty() && wanted != uid) || (!rv.empty() && rv != string_at(it->second, {"metadata", "resourceVersion"})))
        return failure(k8s::conflict(path.plural, path.name, "precondition"));
      Json patch = *body;
      if (patch.contains("metadata")) patch["metadata"].erase("resourceVersion");
      if (path.subresource == "status") patch = Json{{"status", patch.value("status", Json::object())}};
      if (request.headers.get("Content-Type") == "application/strategic-merge-patch+json") strategic(next, patch);
      else next = k8s::apply_merge_patch(next, patch);
    }
    if (next == it->second) return json(200, next);
    next["metadata"]["resourceVersion"] = std::to_string(++version_);
    const Json* finalizers = find(next, {"metadata", "finalizers"});
    if (path.plural != "pods" && !string_at(next, {"metadata", "deletionTimestamp"}).empty() && (!finalizers || finalizers->empty())) {
      it->second = next;
      drop(k);
      return json(200, next);
    }
    it->second = next;
    tell(k, "MODIFIED", next);
    return json(200, next);
  }

  std::map<std::string, Json> objects_;
  std::deque<std::pair<std::uint64_t, Event>> log_;
  std::vector<Reader*> readers_;
  std::uint64_t version_ = 1;
};

}  // namespace nodevirt::testing
