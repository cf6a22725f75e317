#include "tests/conformance/cluster.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "standalone/controllers/controllers.hpp"

namespace nodevirt::conformance {

namespace asio = boost::asio;

Cluster::Cluster(std::function<void(apiserver::Options&)> change, bool controllers) : change_(std::move(change)), controllers_(controllers) {
  start();
}

Cluster::~Cluster() { stop(); }

void Cluster::start() {
  io_ = std::make_unique<asio::io_context>();
  stop_ = std::make_unique<StopSource>();
  apiserver::Options o;
  o.database = dir_.path() / "state.db";
  if (change_) change_(o);
  auto opened = apiserver::Server::open(io_->get_executor(), std::move(o));
  if (!opened.ok()) throw std::runtime_error(opened.error().message);
  server_ = std::move(*opened);
  run([](apiserver::Server* s) -> Awaitable<void> {
    auto ready = co_await s->bootstrap();
    if (!ready.ok()) throw std::runtime_error(ready.error().message);
  }(server_.get()));
  spawn(io_->get_executor(), server_->run(stop_->get_token()), "server");
  if (controllers_) spawn(io_->get_executor(), controllers::run(*server_, stop_->get_token()), "controllers");
}

void Cluster::stop() {
  stop_->request_stop();
  io_->restart();
  io_->run_for(std::chrono::milliseconds(20));
  server_.reset();
  io_.reset();
}

void Cluster::reopen() {
  stop();
  start();
}

void Cluster::run(Awaitable<void> task) {
  bool done = false;
  std::exception_ptr failure;
  asio::co_spawn(*io_, std::move(task), [&](std::exception_ptr e) { failure = e; done = true; });
  until([&] { return done; });
  if (failure) std::rethrow_exception(failure);
  if (!done) throw std::runtime_error("a request did not end");
}

bool Cluster::until(const std::function<bool()>& condition) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    io_->restart();
    io_->run_one_for(std::chrono::milliseconds(20));
  }
  return true;
}

namespace {

Awaitable<void> exchange(std::shared_ptr<client::Transport> t, net::Request request, Reply* reply) {
  auto r = co_await t->send(std::move(request));
  if (!r.ok()) {
    reply->text = r.error().message;
    co_return;
  }
  reply->status = r->status;
  reply->headers = std::move(r->headers);
  reply->text = std::move(r->body);
  auto json = parse_json(reply->text, 512);
  if (json.ok()) reply->body = std::move(*json);
}

}  // namespace

Reply Cluster::call_text(const std::string& method, const std::string& target, std::string body, const Ask& ask) {
  net::Request r;
  r.method = method;
  r.target = target;
  r.headers.set("Accept", ask.accept);
  r.headers.set("User-Agent", "conformance/1");
  if (!body.empty()) r.headers.set("Content-Type", ask.type);
  if (!ask.user.empty()) r.headers.set("Impersonate-User", ask.user);
  for (const auto& g : ask.groups) r.headers.add("Impersonate-Group", g);
  r.body = std::move(body);
  Reply reply;
  run(exchange(server_->local_transport(), std::move(r), &reply));
  return reply;
}

Reply Cluster::call(const std::string& method, const std::string& target, const Json& body, const Ask& ask) {
  return call_text(method, target, body.is_null() ? "" : dump_json(body), ask);
}

Reply Cluster::merge(const std::string& target, const Json& patch) {
  return call("PATCH", target, patch, {.type = "application/merge-patch+json"});
}

struct Watch::State {
  std::unique_ptr<net::BodyReader> reader;
  std::string buffer;
  std::vector<Json> events;
  bool opened = false, ended = false;
};

Watch::Watch(Cluster& cluster, const std::string& target, const std::string& accept) : cluster_(cluster), state_(std::make_shared<State>()) {
  net::Request r;
  r.target = target;
  r.headers.set("Accept", accept);
  auto task = [](std::shared_ptr<client::Transport> t, net::Request request, std::shared_ptr<State> state, int* status) -> Awaitable<void> {
    auto opened = co_await t->open(std::move(request));
    if (opened.ok()) {
      state->reader = std::move(*opened);
      *status = state->reader->head().status;
    }
    state->opened = true;
    while (opened.ok()) {
      auto piece = co_await state->reader->read();
      if (!piece.ok() || piece->empty()) break;
      state->buffer += *piece;
      for (std::size_t end; (end = state->buffer.find('\n')) != std::string::npos;) {
        auto event = parse_json(std::string_view(state->buffer).substr(0, end), 512);
        if (event.ok()) state->events.push_back(std::move(*event));
        state->buffer.erase(0, end + 1);
      }
    }
    state->ended = true;
  };
  spawn(cluster.io().get_executor(), task(cluster.server().local_transport(), std::move(r), state_, &status_), "watch");
  cluster_.until([this] { return state_->opened; });
}

Watch::~Watch() {
  if (state_->reader) state_->reader->abort();
  cluster_.until([this] { return state_->ended; });
}

std::optional<Json> Watch::next() {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  cluster_.until([&] { return !state_->events.empty() || state_->ended || std::chrono::steady_clock::now() > deadline; });
  if (state_->events.empty()) return std::nullopt;
  Json first = std::move(state_->events.front());
  state_->events.erase(state_->events.begin());
  return first;
}

bool Watch::ended() const { return state_->ended; }

Json config_map(const std::string& name, Json data) {
  return {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}}}, {"data", std::move(data)}};
}

Json pod(const std::string& name, const std::string& node) {
  Json o{{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", {{"name", name}}},
         {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "example.com/x:1"}}})}}}};
  if (!node.empty()) o["spec"]["nodeName"] = node;
  return o;
}

Json widget_definition(bool two) {
  Json schema{{"type", "object"},
              {"properties",
               {{"spec", {{"type", "object"},
                          {"properties", {{"size", {{"type", "integer"}, {"minimum", 0}, {"default", 3}}},
                                          {"color", {{"type", "string"}, {"enum", {"red", "blue"}}}},
                                          {"replicas", {{"type", "integer"}}}}}}},
                {"status", {{"type", "object"}, {"properties", {{"replicas", {{"type", "integer"}}}, {"phase", {{"type", "string"}}}}}}}}}};
  auto version = [&](const char* name, bool storage) {
    return Json{{"name", name}, {"served", true}, {"storage", storage}, {"schema", {{"openAPIV3Schema", schema}}},
                {"subresources", {{"status", Json::object()}, {"scale", {{"specReplicasPath", ".spec.replicas"}, {"statusReplicasPath", ".status.replicas"}}}}},
                {"additionalPrinterColumns", Json::array({{{"name", "Size"}, {"type", "integer"}, {"jsonPath", ".spec.size"}}})}};
  };
  Json versions = Json::array({version("v1", true)});
  if (two) versions.push_back(version("v1beta1", false));
  return {{"apiVersion", "apiextensions.k8s.io/v1"}, {"kind", "CustomResourceDefinition"}, {"metadata", {{"name", "widgets.example.com"}}},
          {"spec", {{"group", "example.com"}, {"scope", "Namespaced"},
                    {"names", {{"plural", "widgets"}, {"kind", "Widget"}, {"shortNames", {"wd"}}, {"categories", {"all"}}}},
                    {"versions", versions}}}};
}

Json widget(const std::string& name, Json spec) {
  return {{"apiVersion", "example.com/v1"}, {"kind", "Widget"}, {"metadata", {{"name", name}}}, {"spec", std::move(spec)}};
}

}  // namespace nodevirt::conformance
