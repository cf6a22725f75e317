// What endpoints controller, proxy and resolver read of Services, EndpointSlices and pods.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pkg/k8s/selector.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::services {

struct ServicePort {
  std::string name, protocol = "TCP";
  std::uint16_t port = 0, node_port = 0;
  std::uint16_t target_number = 0;     ///< 0: target_name says which of the pod's ports
  std::string target_name;
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

struct ServiceView {
  runtime::ObjectMeta meta;
  std::string type = "ClusterIP", cluster_ip, external_name;
  bool headless = false;               ///< clusterIP: None
  bool has_selector = false;
  k8s::LabelSelector selector;
  std::vector<ServicePort> ports;
  bool publish_not_ready = false;
  bool client_affinity = false;        ///< sessionAffinity: ClientIP
  static Result<ServiceView> decode(const Json& object);
};

struct Endpoint {
  std::string address, hostname, node;
  bool ready = true, serving = true, terminating = false;
  std::string pod_namespace, pod_name, pod_uid;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
struct EndpointPort {
  std::string name, protocol = "TCP";
  std::uint16_t port = 0;
  friend bool operator==(const EndpointPort&, const EndpointPort&) = default;
};

struct SliceView {
  runtime::ObjectMeta meta;
  std::string service;                 ///< name of its Service, in its own namespace
  std::vector<Endpoint> endpoints;     ///< IPv4 only
  std::vector<EndpointPort> ports;
  static Result<SliceView> decode(const Json& object);
};

struct BackendPod {
  runtime::ObjectMeta meta;
  std::string ip, node, phase, hostname, subdomain;
  bool ready = false;
  std::vector<EndpointPort> ports;     ///< the named ones of its containers
  static Result<BackendPod> decode(const Json& object);
};

}  // namespace nodevirt::services
