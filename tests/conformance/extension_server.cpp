#include "tests/conformance/extension_server.hpp"

#include <fmt/format.h>

#include "standalone/apiserver/service_resolver.hpp"
#include "standalone/pki/certificate.hpp"

namespace nodevirt::conformance {

namespace {

Awaitable<void> respond(std::shared_ptr<ExtensionServer::Answer> answer, std::vector<std::string>* paths, net::ServerRequest& request,
                        net::ResponseStream& response) {
  paths->push_back(request.path());
  if (request.headers.has("Upgrade")) {
    net::Headers headers{{"Connection", "Upgrade"}, {"Upgrade", "test"}};
    auto stream = co_await response.hijack(std::move(headers));
    if (!stream.ok()) co_return;
    char buffer[64];
    auto n = co_await (*stream)->read_some(buffer);
    if (n.ok()) {
      std::string echo = "echo " + std::string(buffer, *n);
      auto wrote = co_await (*stream)->write(echo);
      (void)wrote;
    }
    (*stream)->close();
    co_return;
  }
  auto r = (*answer)(request);
  auto sent = co_await response.send(std::move(r));
  (void)sent;
}

}  // namespace

ExtensionServer::ExtensionServer(Cluster& cluster, Answer answer) : cluster_(cluster) {
  auto ca = pki::make_authority("extension-ca", pki::Days(1));
  pki::Subject subject{.common_name = "extension", .dns_names = {"ext.default.svc", "localhost"}, .ip_addresses = {"127.0.0.1"}, .server = true};
  auto pair = pki::issue(*ca, subject, pki::Days(1));
  ca_bundle_ = apiserver::base64_encode(ca->certificate_pem);
  net::TlsServerOptions tls{.certificate_pem = pair->certificate_pem, .private_key_pem = pair->private_key_pem};
  net::HttpServer::Options o;
  o.tls = *net::make_server_context(tls);
  auto shared = std::make_shared<Answer>(std::move(answer));
  auto* seen = &paths;
  server_ = std::make_unique<net::HttpServer>(cluster.io().get_executor(), o, [shared, seen](net::ServerRequest& q, net::ResponseStream& r) {
    return respond(shared, seen, q, r);
  });
  port_ = *server_->listen_tcp("127.0.0.1", 0);
  spawn(cluster.io().get_executor(), server_->run(stop_.get_token(), std::chrono::milliseconds(0)), "extension server");
}

ExtensionServer::~ExtensionServer() {
  stop_.request_stop();
  cluster_.io().restart();
  cluster_.io().run_for(std::chrono::milliseconds(20));
}

std::string ExtensionServer::url(const std::string& path) const { return fmt::format("https://127.0.0.1:{}{}", port_, path); }
std::string ExtensionServer::host_port() const { return fmt::format("127.0.0.1:{}", port_); }

net::Response review_answer(const net::Request& request, bool allowed, const Json& patch, const std::string& message) {
  auto review = parse_json(request.body);
  Json response{{"uid", string_at(*review, {"request", "uid"})}, {"allowed", allowed}};
  if (!patch.is_null()) {
    response["patchType"] = "JSONPatch";
    response["patch"] = apiserver::base64_encode(dump_json(patch));
  }
  if (!message.empty()) response["status"] = {{"message", message}, {"code", 422}, {"reason", "Invalid"}};
  net::Response r;
  r.headers.set("Content-Type", "application/json");
  r.body = dump_json({{"apiVersion", "admission.k8s.io/v1"}, {"kind", "AdmissionReview"}, {"response", std::move(response)}});
  return r;
}

}  // namespace nodevirt::conformance
