#include "standalone/schema/compiler.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::string_view kObjectMeta = R"({
  "type": "object",
  "description": "What every object has: its name, labels, owners and life cycle.",
  "properties": {
    "name": {"type": "string", "description": "Unique among objects of this kind in the namespace; it cannot be changed."},
    "generateName": {"type": "string", "description": "A prefix from which the server makes a name when name is empty."},
    "namespace": {"type": "string", "description": "The namespace the object is in."},
    "selfLink": {"type": "string"},
    "uid": {"type": "string", "description": "Set by the server; never used again for another object."},
    "resourceVersion": {"type": "string", "description": "Changes with every write; give it back to have an update refused when somebody else was faster."},
    "generation": {"type": "integer", "format": "int64", "description": "Counts changes of the desired state."},
    "creationTimestamp": {"type": "string", "format": "date-time"},
    "deletionTimestamp": {"type": "string", "format": "date-time", "description": "Set by the server when deletion was asked for and finalizers or a grace period remain."},
    "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Keys and values that selectors match."},
    "annotations": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Keys and values for tools; not matched by selectors."},
    "ownerReferences": {
      "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
      "x-kubernetes-patch-merge-key": "uid", "x-kubernetes-patch-strategy": "merge",
      "description": "The objects that this one is deleted with.",
      "items": {
        "type": "object", "x-kubernetes-map-type": "atomic", "required": ["apiVersion", "kind", "name", "uid"],
        "properties": {
          "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "name": {"type": "string"},
          "uid": {"type": "string"}, "controller": {"type": "boolean"}, "blockOwnerDeletion": {"type": "boolean"}}}},
    "finalizers": {
      "type": "array", "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge",
      "items": {"type": "string"}, "description": "What has to be done, and removed from here, before the object goes."},
    "managedFields": {
      "type": "array", "x-kubernetes-list-type": "atomic", "description": "Which manager set which fields; kept by the server.",
      "items": {
        "type": "object",
        "properties": {
          "manager": {"type": "string"}, "operation": {"type": "string"}, "apiVersion": {"type": "string"},
          "subresource": {"type": "string"}, "time": {"type": "string", "format": "date-time"},
          "fieldsType": {"type": "string"},
          "fieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}})";

}  // namespace

const Json& object_meta_schema() {
  static const Json schema = parse_json(kObjectMeta).value_or(Json::object());
  return schema;
}

}  // namespace nodevirt::schema
