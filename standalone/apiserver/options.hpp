// How a server is set up.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "standalone/apiserver/store/history.hpp"

namespace nodevirt::apiserver {

/// What GET pods/NAME/log asks for.
struct LogRequest {
  std::string node, ns, pod, pod_uid, container;
  bool follow = false, previous = false, timestamps = false;
  std::int64_t tail_lines = -1, limit_bytes = -1;
  std::int64_t since_unix_seconds = 0;   ///< 0: from the start
};
/// Calls `write` with pieces of the log until it ends, `write` returns false, or `stop` is requested.
/// An error is only for what is known before the first piece.
using LogWriter = std::function<Awaitable<bool>(std::string piece)>;
using PodLogs = std::function<Awaitable<Result<void>>(LogRequest request, LogWriter write, StopToken stop)>;

struct Options {
  std::filesystem::path database;
  std::string client_ca_pem;             ///< whose client certificates are users; published in kube-root-ca.crt
  std::string service_account_key_pem;   ///< signs and verifies tokens; empty: no tokens
  std::string issuer = "https://kubernetes.default.svc.cluster.local";
  std::string front_proxy_certificate_pem, front_proxy_key_pem;   ///< shown to aggregated servers and webhooks
  std::map<std::string, std::string> static_tokens;      ///< token -> "user,uid,group1|group2"
  std::map<std::string, std::string> resolve_service;   ///< "ns/name" -> "host:port", before Endpoints
  std::string service_cidr = "10.96.0.0/16";
  std::uint16_t node_port_first = 30000, node_port_last = 32767;
  std::string advertised_url;            ///< https://host:port, for discovery
  PodLogs pod_logs;                      ///< none: logs are refused
  Clock* clock = &system_clock();
  History::Limits history;
  std::size_t max_body = 3u << 20;
};

}  // namespace nodevirt::apiserver
