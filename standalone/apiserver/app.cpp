#include "standalone/apiserver/app.hpp"

#include <malloc.h>
#include <sys/stat.h>

#include <csignal>
#include <iostream>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "standalone/apiserver/flags.hpp"
#include "standalone/apiserver/log_files.hpp"
#include "standalone/apiserver/manifest_loader.hpp"
#include "standalone/apiserver/server.hpp"

namespace nodevirt::apiserver {

namespace {

struct Program {
  boost::asio::io_context io;
  StopSource stop;
  std::unique_ptr<Server> server;
  std::unique_ptr<net::HttpServer> http;
  Flags flags;
  Extensions extensions;
  std::vector<ServerExtension> server_extensions;
  int exit_code = 0;
};

Result<void> listen(Program& p) {
  net::HttpServer::Options o;
  o.max_body = p.flags.options.max_body;
  if (!p.flags.tls_cert.empty()) {
    net::TlsServerOptions t;
    NV_TRY(t.certificate_pem, read_file(p.flags.tls_cert, 1u << 20));
    NV_TRY(t.private_key_pem, read_file(p.flags.tls_key, 1u << 20));
    t.client_ca_pem = p.flags.options.client_ca_pem;
    NV_TRY(o.tls, net::make_server_context(t));
  }
  p.http = std::make_unique<net::HttpServer>(p.io.get_executor(), o, p.server->handler());
  for (int fd : p.flags.listen_fds) NV_TRY_VOID(p.http->adopt_listener(fd));
  for (const auto& where : p.flags.listen) {
    auto colon = where.rfind(':');
    if (colon == std::string::npos) return Error(Code::InvalidArgument, fmt::format("--listen {}: HOST:PORT is expected", where));
    auto host = where.substr(0, colon);
    if (!o.tls && host != "127.0.0.1" && host != "localhost") return Error(Code::InvalidArgument, "without TLS the server listens on loopback only");
    NV_TRY(auto port, p.http->listen_tcp(host, std::uint16_t(std::atoi(where.c_str() + colon + 1))));
    log::info("listening on {}:{}", host, port);
  }
  return {};
}

Awaitable<void> main_task(Program& p) {
  auto ready = co_await p.server->bootstrap();
  auto transport = p.server->local_transport();
  for (const auto& folder : p.flags.manifests) {
    if (!ready.ok()) break;
    auto loaded = co_await load_manifests(transport, folder);
    if (loaded.ok()) continue;
    // A cluster that has them from before is served all the same; without them nothing here can work.
    const bool had = co_await manifests_were_loaded(transport, folder);
    if (had) log::error("manifests: {}", loaded.error().message);
    else ready = loaded.error().with_context("load the manifests in " + folder.string());
  }
  if (!ready.ok()) {
    log::error("prepare the cluster: {}", ready.error().message);
    p.exit_code = 1;
    p.io.stop();
    co_return;
  }
  int n = 0;
  for (auto& extension : p.extensions) {
    auto task = extension(transport, p.stop.get_token());
    spawn(p.io.get_executor(), std::move(task), fmt::format("extension {}", n++));
  }
  for (auto& extension : p.server_extensions) {
    auto task = extension(*p.server, p.stop.get_token());
    spawn(p.io.get_executor(), std::move(task), fmt::format("extension {}", n++));
  }
  auto server_task = p.server->run(p.stop.get_token());
  spawn(p.io.get_executor(), std::move(server_task), "server");
  ::malloc_trim(0);
  log::info("ready");
  co_await p.http->run(p.stop.get_token());
  p.io.stop();
}

}  // namespace

int run(std::vector<std::string> args, Extensions extensions, std::vector<ServerExtension> server_extensions) {
  log::init("apiserver");
  ::umask(0077);   // the database holds secrets
  auto flags = parse_flags(args);
  if (!flags.ok()) {
    std::cerr << "nodevirt apiserver: " << flags.error().message << "\n";
    return 2;
  }
  if (flags->help) {
    std::cout << usage();
    return 0;
  }
  Program p;
  p.flags = std::move(*flags);
  p.extensions = std::move(extensions);
  p.server_extensions = std::move(server_extensions);
  p.flags.options.pod_logs = log_files(p.flags.logs_root);
  auto server = Server::open(p.io.get_executor(), p.flags.options);
  if (!server.ok()) {
    std::cerr << "nodevirt apiserver: " << server.error().message << "\n";
    return 1;
  }
  p.server = std::move(*server);
  if (auto listening = listen(p); !listening.ok()) {
    std::cerr << "nodevirt apiserver: " << listening.error().message << "\n";
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  boost::asio::signal_set signals(p.io, SIGTERM, SIGINT);
  signals.async_wait([&p](const boost::system::error_code& ec, int) {
    if (ec) return;
    log::info("stopping");
    p.stop.request_stop();
  });
  auto task = main_task(p);
  spawn(p.io.get_executor(), std::move(task), "main");
  p.io.run();
  return p.exit_code;
}

int run(std::vector<std::string> args) { return run(std::move(args), {}); }

}  // namespace nodevirt::apiserver
