// AdmissionReview (admission.k8s.io/v1): requests and answers, without I/O.
#pragma once
#include <string>

#include "pkg/base/json.hpp"
#include "virt-api/admission/cause.hpp"

namespace nodevirt::virt_api {

struct AdmissionRequest {
  std::string uid, operation;         ///< CREATE | UPDATE | DELETE | CONNECT
  std::string resource, subresource, version, ns, name;
  std::string user;
  bool dry_run = false;
  Json object, old_object;            ///< null when absent
};
Result<AdmissionRequest> decode_review(const std::string& body);

struct AdmissionAnswer {
  bool allowed = true;
  int code = 0;                       ///< of a refusal
  std::string reason, message;
  Causes causes;
  std::vector<std::string> warnings;
  Json patch;                         ///< JSON patch; null or empty: nothing changes
};
AdmissionAnswer allow();
/// 422 Invalid with all causes; allowed when there are none.
AdmissionAnswer verdict(Causes causes);
AdmissionAnswer deny(int code, std::string reason, std::string message);

Json encode_review(const AdmissionRequest& request, const AdmissionAnswer& answer);

}  // namespace nodevirt::virt_api
