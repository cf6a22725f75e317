#include <set>

#include <fmt/format.h>

#include "standalone/schema/builtin.hpp"
#include "standalone/schema/names.hpp"
#include "standalone/schema/node.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::size_t kMaxAnnotations = 256u << 10;

struct Checker {
  std::vector<FieldError>& errors;

  void required(std::string path, std::string_view why) {
    errors.push_back({std::move(path), "FieldValueRequired", why.empty() ? "Required value" : "Required value: " + std::string(why)});
  }
  void invalid(std::string path, const Json& value, std::string_view why) {
    errors.push_back({std::move(path), "FieldValueInvalid", "Invalid value: " + quoted(value) + ": " + std::string(why)});
  }
  void forbidden(std::string path, std::string_view why) {
    errors.push_back({std::move(path), "FieldValueForbidden", "Forbidden: " + std::string(why)});
  }

  void name(const Json& object, const Json& meta) {
    const std::string text = string_at(meta, {"name"}), prefix = string_at(meta, {"generateName"});
    const std::string kind = string_at(object, {"kind"}), api = string_at(object, {"apiVersion"});
    std::string (*check)(std::string_view) = check_dns_subdomain;
    if (api.starts_with("rbac.authorization.k8s.io/")) check = check_path_segment;
    else if (api == "v1" && kind == "Namespace") check = check_dns_label;
    else if (api == "v1" && kind == "Service") check = check_dns_label_1035;
    if (text.empty()) {
      if (prefix.empty()) return required("metadata.name", "name or generateName is required");
      // The suffix that the server adds mends a trailing dash.
      if (auto why = check(prefix + "x"); !why.empty()) invalid("metadata.generateName", prefix, why);
      return;
    }
    if (auto why = check(text); !why.empty()) invalid("metadata.name", text, why);
  }

  void space(const Json& meta, bool namespaced) {
    const std::string text = string_at(meta, {"namespace"});
    if (!namespaced) {
      if (!text.empty()) forbidden("metadata.namespace", "not allowed on this type");
    } else if (text.empty()) {
      required("metadata.namespace", "");
    } else if (auto why = check_dns_label(text); !why.empty()) {
      invalid("metadata.namespace", text, why);
    }
  }

  void maps(const Json& meta) {
    if (const Json* labels = find(meta, {"labels"}); labels && labels->is_object())
      for (auto& [k, v] : labels->items()) {
        if (auto why = check_qualified_name(k); !why.empty()) invalid("metadata.labels", k, why);
        if (!v.is_string()) continue;
        if (auto why = check_label_value(v.get_ref<const std::string&>()); !why.empty()) invalid("metadata.labels", v, why);
      }
    std::size_t total = 0;
    if (const Json* annotations = find(meta, {"annotations"}); annotations && annotations->is_object())
      for (auto& [k, v] : annotations->items()) {
        std::string lower = k;
        for (char& c : lower) c = char(std::tolower(static_cast<unsigned char>(c)));
        if (auto why = check_qualified_name(lower); !why.empty()) invalid("metadata.annotations", k, why);
        total += k.size() + (v.is_string() ? v.get_ref<const std::string&>().size() : 0);
      }
    if (total > kMaxAnnotations)
      errors.push_back({"metadata.annotations", "FieldValueTooLong", "Too long: may not be more than 262144 bytes"});
  }

  void references(const Json& meta) {
    const Json* owners = find(meta, {"ownerReferences"});
    if (!owners || !owners->is_array()) return;
    int controllers = 0;
    for (std::size_t i = 0; i < owners->size(); ++i) {
      const Json& o = (*owners)[i];
      const std::string path = fmt::format("metadata.ownerReferences[{}]", i);
      for (const char* field : {"apiVersion", "kind", "name", "uid"})
        if (string_at(o, {field}).empty()) invalid(path + "." + field, "", std::string(field) + " must not be empty");
      controllers += bool_at(o, {"controller"});
    }
    if (controllers > 1) invalid("metadata.ownerReferences", *owners, "Only one reference can have Controller set to true");
  }

  void finalizers(const Json& meta, const Json* old) {
    const Json* list = find(meta, {"finalizers"});
    if (!list || !list->is_array()) return;
    for (const Json& f : *list)
      if (f.is_string())
        if (auto why = check_qualified_name(f.get_ref<const std::string&>()); !why.empty()) invalid("metadata.finalizers", f, why);
    if (!old || string_at(*old, {"metadata", "deletionTimestamp"}).empty()) return;
    const Json* before = find(*old, {"metadata", "finalizers"});
    std::string fresh;
    for (const Json& f : *list)
      if (!before || !before->is_array() || std::find(before->begin(), before->end(), f) == before->end())
        fresh += (fresh.empty() ? "" : ", ") + quoted(f);
    if (!fresh.empty())
      forbidden("metadata.finalizers", "no new finalizers can be added if the object is being deleted, found new finalizers []string{" + fresh + "}");
  }

  void immutable(const Json& meta, const Json& old) {
    for (const char* field : {"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
      const Json* now = find(meta, {field});
      const Json* was = find(old, {"metadata", field});
      const bool absent_now = !now || now->is_null(), absent_before = !was || was->is_null();
      if (absent_now && absent_before) continue;
      if (absent_now || absent_before || *now != *was)
        invalid(std::string("metadata.") + field, absent_now ? Json() : *now, "field is immutable");
    }
    if (int_at(meta, {"generation"}) < int_at(old, {"metadata", "generation"}))
      invalid("metadata.generation", int_at(meta, {"generation"}), "must not be decremented");
  }
};

}  // namespace

std::vector<FieldError> validate_metadata(const Json& object, bool namespaced, const Json* old) {
  std::vector<FieldError> errors;
  Checker c{errors};
  const Json* meta = find(object, {"metadata"});
  if (!meta || !meta->is_object()) {
    c.required("metadata", "");
    return errors;
  }
  c.name(object, *meta);
  c.space(*meta, namespaced);
  c.maps(*meta);
  c.references(*meta);
  c.finalizers(*meta, old);
  if (old) c.immutable(*meta, *old);
  return errors;
}

}  // namespace nodevirt::schema
