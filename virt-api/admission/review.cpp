#include "virt-api/admission/review.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "virt-api/reply.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::size_t kMaxCauses = 50;

std::string base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                          static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

Json member(const Json& object, const char* name) {
  const Json* value = find(object, {name});
  return value ? *value : Json();
}

}  // namespace

std::string_view to_string(Cause::Type type) {
  switch (type) {
    case Cause::Type::Required: return "FieldValueRequired";
    case Cause::Type::NotSupported: return "FieldValueNotSupported";
    case Cause::Type::Duplicate: return "FieldValueDuplicate";
    case Cause::Type::Invalid: break;
  }
  return "FieldValueInvalid";
}

Result<AdmissionRequest> decode_review(const std::string& body) {
  NV_TRY(auto review, parse_json(body));
  const Json* r = find(review, {"request"});
  if (!r || !r->is_object() || string_at(*r, {"uid"}).empty())
    return bad_request("the body is no AdmissionReview with a request");
  AdmissionRequest out;
  out.uid = string_at(*r, {"uid"});
  out.operation = string_at(*r, {"operation"});
  out.resource = string_at(*r, {"resource", "resource"});
  out.version = string_at(*r, {"resource", "version"});
  out.subresource = string_at(*r, {"subResource"});
  out.ns = string_at(*r, {"namespace"});
  out.name = string_at(*r, {"name"});
  out.user = string_at(*r, {"userInfo", "username"});
  out.dry_run = bool_at(*r, {"dryRun"});
  out.object = member(*r, "object");
  out.old_object = member(*r, "oldObject");
  return out;
}

AdmissionAnswer allow() { return {}; }

AdmissionAnswer deny(int code, std::string reason, std::string message) {
  AdmissionAnswer out;
  out.allowed = false;
  out.code = code;
  out.reason = std::move(reason);
  out.message = std::move(message);
  return out;
}

AdmissionAnswer verdict(Causes causes) {
  if (causes.empty()) return allow();
  if (causes.size() > kMaxCauses) causes.resize(kMaxCauses);
  std::string message;
  for (const auto& c : causes) message += (message.empty() ? "" : ", ") + (c.field.empty() ? c.message : c.field + ": " + c.message);
  auto out = deny(422, "Invalid", std::move(message));
  out.causes = std::move(causes);
  return out;
}

Json encode_review(const AdmissionRequest& request, const AdmissionAnswer& answer) {
  Json response = {{"uid", request.uid}, {"allowed", answer.allowed}};
  if (!answer.allowed) {
    Json status = {{"metadata", Json::object()}, {"status", "Failure"}, {"message", answer.message},
                   {"reason", answer.reason}, {"code", answer.code}};
    if (!answer.causes.empty()) {
      Json causes = Json::array();
      for (const auto& c : answer.causes) {
        Json cause = {{"reason", std::string(to_string(c.type))}, {"message", c.message}};
        if (!c.field.empty()) cause["field"] = c.field;
        causes.push_back(std::move(cause));
      }
      status["details"] = {{"causes", std::move(causes)}};
    }
    response["status"] = std::move(status);
  } else if (answer.patch.is_array() && !answer.patch.empty()) {
    response["patchType"] = "JSONPatch";
    response["patch"] = base64(dump_json(answer.patch));
  }
  if (!answer.warnings.empty()) response["warnings"] = answer.warnings;
  return {{"apiVersion", "admission.k8s.io/v1"}, {"kind", "AdmissionReview"}, {"response", std::move(response)}};
}

}  // namespace nodevirt::virt_api
