// A cluster for tests: the API server and its controllers in this process, driven through the same
// handler as any client's requests. CONFORMANCE_URL may name another server some day: nothing but call()
// and Watch knows where the server is.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "standalone/apiserver/server.hpp"

namespace nodevirt::conformance {

struct Reply {
  int status = 0;
  net::Headers headers;
  std::string text;
  Json body;
  std::string reason() const { return string_at(body, {"reason"}); }
  std::string message() const { return string_at(body, {"message"}); }
  std::string rv() const { return string_at(body, {"metadata", "resourceVersion"}); }
};

struct Ask {
  std::string type = "application/json";
  std::string accept = "application/json";
  std::string user;                      ///< impersonated
  std::vector<std::string> groups;
  std::string token;
};

class Cluster {
 public:
  explicit Cluster(std::function<void(apiserver::Options&)> change = {}, bool controllers = true);
  ~Cluster();

  Reply call(const std::string& method, const std::string& target, const Json& body = nullptr, const Ask& ask = {});
  Reply call_text(const std::string& method, const std::string& target, std::string body, const Ask& ask = {});
  Reply get(const std::string& target) { return call("GET", target); }
  Reply post(const std::string& target, const Json& body) { return call("POST", target, body); }
  Reply put(const std::string& target, const Json& body) { return call("PUT", target, body); }
  Reply merge(const std::string& target, const Json& patch);
  Reply remove(const std::string& target, const Json& options = nullptr) { return call("DELETE", target, options); }

  /// Runs the server until the condition holds; false after ten seconds.
  bool until(const std::function<bool()>& condition);
  /// Runs a coroutine to its end.
  void run(Awaitable<void> task);
  /// Stops the server and opens it again on the same database.
  void reopen();
  apiserver::Server& server() { return *server_; }
  boost::asio::io_context& io() { return *io_; }
  const std::filesystem::path& folder() const { return dir_.path(); }

 private:
  void start();
  void stop();
  TempDir dir_{"conformance"};
  std::function<void(apiserver::Options&)> change_;
  bool controllers_;
  std::unique_ptr<boost::asio::io_context> io_;
  std::unique_ptr<apiserver::Server> server_;
  std::unique_ptr<StopSource> stop_;
};

class Watch {
 public:
  Watch(Cluster& cluster, const std::string& target, const std::string& accept = "application/json");
  ~Watch();
  int status() const { return status_; }
  /// The next event; nullopt when none comes within a moment or the stream has ended.
  std::optional<Json> next();
  bool ended() const;

 private:
  struct State;
  Cluster& cluster_;
  std::shared_ptr<State> state_;
  int status_ = 0;
};

Json config_map(const std::string& name, Json data = Json::object());
Json pod(const std::string& name, const std::string& node = "");
/// A CRD group.example.com/v1 (and v1beta1 when `two`), kind Widget, with status and scale subresources.
Json widget_definition(bool two = false);
Json widget(const std::string& name, Json spec = Json::object());

}  // namespace nodevirt::conformance
