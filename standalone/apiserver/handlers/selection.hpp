// Which objects a list, watch or deletecollection is about.
#pragma once
#include <string>

#include "pkg/k8s/selector.hpp"
#include "pkg/net/message.hpp"
#include "standalone/apiserver/resources/resource_info.hpp"

namespace nodevirt::apiserver {

class Selection {
 public:
  /// From labelSelector and fieldSelector; BadRequest for a field that cannot be selected by.
  static Result<Selection> parse(const net::Query& query, ResourcePtr resource, const std::string& version, std::string ns, std::string name);
  bool matches(const StoredObject& object) const;
  bool everything() const { return labels_.empty() && fields_.empty(); }
  const std::string& ns() const { return ns_; }

 private:
  std::string ns_, name_;
  k8s::LabelSelector labels_;
  k8s::FieldSelector fields_;
  bool renamed_ = false;   // events.k8s.io: the index has core's names
};

/// The value of metadata.name in a field selector, "" when it has none: authorization looks at it.
std::string selected_name(const net::Query& query);

}  // namespace nodevirt::apiserver
