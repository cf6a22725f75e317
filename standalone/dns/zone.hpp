// What the resolver knows by itself: Services and pods under cluster.local, and their addresses backwards. Pure.
#pragma once
#include <memory>

#include "standalone/dns/message.hpp"
#include "standalone/services/views.hpp"

namespace nodevirt::dns {

/// Where the zone looks things up.
class Records {
 public:
  virtual ~Records() = default;
  virtual std::shared_ptr<const services::ServiceView> service(const std::string& ns, const std::string& name) const = 0;
  virtual std::vector<std::shared_ptr<const services::SliceView>> slices(const std::string& ns, const std::string& service) const = 0;
  virtual std::vector<std::shared_ptr<const services::ServiceView>> services_at(const std::string& address) const = 0;
  virtual std::vector<std::shared_ptr<const services::SliceView>> slices_at(const std::string& address) const = 0;
};

struct ZoneOptions {
  Name domain = "cluster.local";
  /// Addresses that are the cluster's: an address of these that nobody has is a name error, never forwarded.
  std::function<bool(const std::string& address)> own_address;
};

/// The answer, or nullopt for a name that is somebody else's (to be forwarded).
///   SERVICE.NS.svc.DOMAIN                A: its address; headless: the ready pods'
///   HOSTNAME.SERVICE.NS.svc.DOMAIN       A: of the pod with this hostname (or A-B-C-D of its address)
///   _PORT._PROTO.SERVICE.NS.svc.DOMAIN   SRV
///   A-B-C-D.NS.pod.DOMAIN                A: A.B.C.D
///   D.C.B.A.in-addr.arpa                 PTR
std::optional<Answer> resolve(const Question& question, const Records& records, const ZoneOptions& options);

}  // namespace nodevirt::dns
