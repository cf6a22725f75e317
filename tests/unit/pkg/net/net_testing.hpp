// What the network tests share: a loop that runs one coroutine to its end, certificates, a server.
#pragma once
#include <catch2/catch.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "pkg/base/file.hpp"
#include "pkg/net/http_client.hpp"
#include "pkg/net/http_server.hpp"

namespace nodevirt::net::testing {

/// Runs `task` on a loop of its own until it has ended; fails the test after 20 s.
inline void run(boost::asio::io_context& io, Awaitable<void> task) {
  bool done = false;
  std::exception_ptr failure;
  boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr e) {
    failure = e;
    done = true;
  });
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done && std::chrono::steady_clock::now() < until) {
    io.restart();
    io.run_one_for(std::chrono::milliseconds(200));
  }
  if (failure) std::rethrow_exception(failure);
  REQUIRE(done);
}

/// Waits until `condition` holds, giving way to other coroutines.
inline Awaitable<bool> eventually(std::function<bool()> condition) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) co_return false;
    boost::asio::steady_timer tick(executor, std::chrono::milliseconds(1));
    co_await tick.async_wait(boost::asio::use_awaitable);
  }
  co_return true;
}

struct Certificate {
  std::string cert, key;
};

/// A P-256 certificate: self-signed without `issuer`. `names` are DNS names.
inline Certificate make_certificate(const std::string& cn, const std::string& organization,
                                    const Certificate* issuer = nullptr, const std::string& names = "DNS:localhost") {
  auto text = [](auto write, auto* object) {
    BIO* bio = BIO_new(BIO_s_mem());
    write(bio, object);
    char* data = nullptr;
    long n = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<std::size_t>(n));
    BIO_free(bio);
    return out;
  };
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  static long serial = 100;
  ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  auto* subject = X509_get_subject_name(cert);
  auto add = [&](const char* field, const std::string& value) {
    X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.c_str()), -1,
                               -1, 0);
  };
  if (!organization.empty()) add("O", organization);
  add("CN", cn);
  X509* issuer_cert = nullptr;
  EVP_PKEY* issuer_key = key;
  if (issuer) {
    BIO* bio = BIO_new_mem_buf(issuer->cert.data(), static_cast<int>(issuer->cert.size()));
    issuer_cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    bio = BIO_new_mem_buf(issuer->key.data(), static_cast<int>(issuer->key.size()));
    issuer_key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
  }
  X509_set_issuer_name(cert, issuer_cert ? X509_get_subject_name(issuer_cert) : subject);
  auto extend = [&](int nid, const char* value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer_cert ? issuer_cert : cert, cert, nullptr, nullptr, 0);
    auto* e = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
  };
  if (!issuer) extend(NID_basic_constraints, "critical,CA:TRUE");
  else if (!names.empty()) extend(NID_subject_alt_name, names.c_str());
  X509_sign(cert, issuer_key, EVP_sha256());
  Certificate out{text([](BIO* b, X509* c) { PEM_write_bio_X509(b, c); }, cert),
                  text([](BIO* b, EVP_PKEY* k) { PEM_write_bio_PrivateKey(b, k, nullptr, nullptr, 0, nullptr, nullptr); },
                       key)};
  X509_free(cert);
  if (issuer_cert) {
    X509_free(issuer_cert);
    EVP_PKEY_free(issuer_key);
  }
  EVP_PKEY_free(key);
  return out;
}

/// A server on a port of 127.0.0.1 (or a unix socket), running on `io` until stopped.
struct TestServer {
  boost::asio::io_context& io;
  StopSource stop;
  std::unique_ptr<HttpServer> server;
  std::uint16_t port = 0;
  bool ended = false;

  TestServer(boost::asio::io_context& i, Handler handler, HttpServer::Options options = {},
             const std::string& unix_path = "")
      : io(i), server(std::make_unique<HttpServer>(i.get_executor(), std::move(options), std::move(handler))) {
    if (unix_path.empty()) {
      auto bound = server->listen_tcp("127.0.0.1", 0);
      REQUIRE(bound.ok());
      port = *bound;
    } else {
      REQUIRE(server->listen_unix(unix_path).ok());
    }
    boost::asio::co_spawn(io, server->run(stop.get_token(), std::chrono::milliseconds(200)),
                          [this](std::exception_ptr) { ended = true; });
  }
  ~TestServer() {
    stop.request_stop();
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!ended && std::chrono::steady_clock::now() < until) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(100));
    }
  }
  HttpClient::Options to() const {
    HttpClient::Options o;
    o.host = "127.0.0.1";
    o.port = port;
    return o;
  }
};

}  // namespace nodevirt::net::testing
