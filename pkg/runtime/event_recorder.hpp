// Kubernetes events, at transitions. Equal events within a window are counted up, not repeated.
#pragma once
#include <string>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::runtime {

struct ObjectReference {
  std::string api_version, kind, ns, name, uid, resource_version;
};

class EventRecorder {
 public:
  EventRecorder(Executor executor, client::Client client, Clock& clock, std::string component, std::string host = "");
  ~EventRecorder();
  /// Returns at once; sent in the background, in order; dropped (and logged) when the server refuses.
  /// `once`: what it is told for (a migration's uid). The same reason is told of the same object for that once and not
  /// counted up, also when the program was restarted meanwhile.
  void event(const ObjectReference& about, std::string type /* Normal | Warning */, std::string reason, std::string message,
             const std::string& once = {});

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::runtime
