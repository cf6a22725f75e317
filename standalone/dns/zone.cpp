#include "standalone/dns/zone.hpp"

#include <arpa/inet.h>

namespace nodevirt::dns {
namespace {

using services::Endpoint;
using services::EndpointPort;
using services::ServiceView;

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> out;
  while (!text.empty()) {
    std::size_t at = std::min(text.find(by), text.size());
    out.emplace_back(text.substr(0, at));
    text.remove_prefix(std::min(at + 1, text.size()));
  }
  return out;
}

bool is_address(const std::string& text) {
  in_addr a{};
  return inet_pton(AF_INET, text.c_str(), &a) == 1;
}

std::string dashed(std::string address) {
  std::replace(address.begin(), address.end(), '.', '-');
  return address;
}

std::string undashed(std::string label) {
  std::replace(label.begin(), label.end(), '-', '.');
  return is_address(label) ? label : "";
}

std::string host_label(const Endpoint& e) { return e.hostname.empty() ? dashed(e.address) : e.hostname; }

struct Known {
  Answer answer;
  bool exists = false;   ///< the name does, though perhaps not with this type
};

class Resolver {
 public:
  Resolver(const Question& q, const Records& r, const ZoneOptions& o) : q_(q), r_(r), o_(o) { known_.answer.zone = o.domain; }

  std::optional<Answer> run() {
    if (q_.name == o_.domain || q_.name.ends_with("." + o_.domain)) {
      inside(split(q_.name.substr(0, q_.name.size() - std::min(q_.name.size(), o_.domain.size() + 1)), '.'));
    } else if (q_.name.ends_with(".in-addr.arpa")) {
      if (!backwards()) return std::nullopt;
    } else {
      return std::nullopt;
    }
    if (!known_.exists) known_.answer.code = kNameError;
    return known_.answer;
  }

 private:
  bool wants(std::uint16_t type) const { return q_.type == type || q_.type == kAny; }

  void add_address(const std::string& address) {
    known_.exists = true;
    if (wants(kA)) known_.answer.answers.push_back({.name = q_.name, .type = kA, .address = address});
  }

  void inside(const std::vector<std::string>& labels) {
    const std::size_t n = labels.size();
    known_.exists = n == 0 || (n == 1 && (labels[0] == "svc" || labels[0] == "pod"));   // names between the known ones
    if (n < 2) return;
    const std::string& kind = labels[n - 1];
    const std::string& ns = labels[n - 2];
    if (kind == "pod" && n == 3) {
      if (std::string address = undashed(labels[0]); !address.empty()) add_address(address);
      return;
    }
    if (kind != "svc") return;
    if (n == 2) {
      known_.exists = true;   // namespaces are not looked up: a name without records either way
      return;
    }
    auto service = r_.service(ns, labels[n - 3]);
    if (!service) return;
    if (n == 3) whole_service(*service);
    else if (n == 4) one_host(*service, labels[0]);
    else if (n == 5 && labels[0].starts_with("_") && labels[1].starts_with("_")) port(*service, labels[0].substr(1), labels[1].substr(1));
  }

  /// Calls f for each endpoint that is to be shown, with its slice's ports.
  template <class F>
  void endpoints(const ServiceView& s, F f) {
    for (const auto& slice : r_.slices(s.meta.ns, s.meta.name))
      for (const Endpoint& e : slice->endpoints)
        if (e.ready || s.publish_not_ready) f(e, slice->ports);
  }

  void whole_service(const ServiceView& s) {
    known_.exists = true;
    if (s.type == "ExternalName") {
      known_.answer.answers.push_back({.name = q_.name, .type = kCNAME, .target = s.external_name});
      return;
    }
    if (!s.headless) {
      if (!s.cluster_ip.empty()) add_address(s.cluster_ip);
      return;
    }
    std::set<std::string> seen;
    endpoints(s, [&](const Endpoint& e, const auto&) {
      if (seen.insert(e.address).second) add_address(e.address);
    });
  }

  void one_host(const ServiceView& s, const std::string& label) {
    std::set<std::string> seen;
    endpoints(s, [&](const Endpoint& e, const auto&) {
      if (host_label(e) == label && seen.insert(e.address).second) add_address(e.address);
    });
  }

  void add_server(std::uint16_t port, const Name& target, const std::string& address) {
    known_.exists = true;
    if (!wants(kSRV)) return;
    known_.answer.answers.push_back({.name = q_.name, .type = kSRV, .target = target, .weight = 100, .port = port});
    known_.answer.additional.push_back({.name = target, .type = kA, .address = address});
  }

  void port(const ServiceView& s, const std::string& name, const std::string& protocol) {
    auto same = [&](const std::string& n, std::string p) {
      std::transform(p.begin(), p.end(), p.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      return n == name && p == protocol;
    };
    const Name own = fmt::format("{}.{}.svc.{}", s.meta.name, s.meta.ns, o_.domain);
    if (!s.headless) {
      for (const auto& p : s.ports)
        if (same(p.name, p.protocol) && !s.cluster_ip.empty()) add_server(p.port, own, s.cluster_ip);
      return;
    }
    endpoints(s, [&](const Endpoint& e, const std::vector<EndpointPort>& ports) {
      for (const EndpointPort& p : ports)
        if (same(p.name, p.protocol)) add_server(p.port, host_label(e) + "." + own, e.address);
    });
  }

  void add_pointer(const Name& target) {
    known_.exists = true;
    if (wants(kPTR)) known_.answer.answers.push_back({.name = q_.name, .type = kPTR, .target = target});
  }

  /// False: not an address of the cluster.
  bool backwards() {
    auto labels = split(q_.name.substr(0, q_.name.size() - std::string_view(".in-addr.arpa").size()), '.');
    if (labels.size() != 4) return false;
    const std::string address = fmt::format("{}.{}.{}.{}", labels[3], labels[2], labels[1], labels[0]);
    if (!is_address(address)) return false;
    known_.answer.zone = "in-addr.arpa";
    for (const auto& s : r_.services_at(address)) add_pointer(fmt::format("{}.{}.svc.{}", s->meta.name, s->meta.ns, o_.domain));
    for (const auto& slice : r_.slices_at(address)) {
      auto s = r_.service(slice->meta.ns, slice->service);
      if (!s || !s->headless) continue;
      for (const Endpoint& e : slice->endpoints)
        if (e.address == address) add_pointer(fmt::format("{}.{}.{}.svc.{}", host_label(e), slice->service, slice->meta.ns, o_.domain));
    }
    return known_.exists || (o_.own_address && o_.own_address(address));
  }

  const Question& q_;
  const Records& r_;
  const ZoneOptions& o_;
  Known known_;
};

}  // namespace

std::optional<Answer> resolve(const Question& question, const Records& records, const ZoneOptions& options) {
  return Resolver(question, records, options).run();
}

}  // namespace nodevirt::dns
