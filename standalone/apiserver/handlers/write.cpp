// POST, PUT, PATCH and DELETE of objects.
#include <fmt/format.h>

#include "pkg/k8s/json_patch.hpp"
#include "pkg/k8s/merge_patch.hpp"
#include "standalone/apiserver/handlers/call.hpp"
#include "standalone/apiserver/handlers/selection.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/apiserver/schema_cache.hpp"
#include "standalone/schema/apply.hpp"
#include "standalone/schema/strategic_merge.hpp"

namespace nodevirt::apiserver {

namespace {

Awaitable<void> answer(Call& call, WriteContext& context, Result<Written> written) {
  call.warnings.insert(call.warnings.end(), context.warnings.begin(), context.warnings.end());
  if (!written.ok()) { co_await send_error(call, written.error()); co_return; }
  int status = written->created ? 201 : 200;
  co_await send_object(call, status, std::move(written->object));
}

/// apiVersion and kind of a body against what the URL says.
Result<void> check_kind(const Call& call, const Json& object) {
  const auto& info = *call.resource;
  if (!object.is_object()) return bad_request("the body must be an object");
  auto kind = string_at(object, {"kind"}), api_version = string_at(object, {"apiVersion"});
  if (kind.empty()) return bad_request("Object 'Kind' is missing in the body of the request");
  if (api_version.empty()) return bad_request("Object 'apiVersion' is missing in the body of the request");
  if (kind != info.kind)
    return bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: the kind in the data ({}) does not match the expected kind ({})", info.kind, call.info.version, info.kind, kind, info.kind));
  if (api_version != info.api_version(call.info.version))
    return bad_request(fmt::format("the API version in the data ({}) does not match the expected API version ({})", api_version, info.api_version(call.info.version)));
  return {};
}

Result<Json> decode_object(Call& call, WriteContext& context) {
  NV_TRY(auto decoded, decode_body(call.request.headers.get("Content-Type"), call.request.body));
  call.request.body = std::string();
  NV_TRY_VOID(check_kind(call, decoded.object));
  context.duplicate_fields = std::move(decoded.duplicates);
  return std::move(decoded.object);
}

}  // namespace

Awaitable<void> handle_create(Call& call) {
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  if (!call.info.name.empty()) { co_await send_error(call, method_not_allowed()); co_return; }
  auto object = decode_object(call, *context);
  if (!object.ok()) { co_await send_error(call, object.error()); co_return; }
  auto written = co_await call.s.objects->create(*context, std::move(*object));
  co_await answer(call, *context, std::move(written));
}

Awaitable<void> handle_update(Call& call) {
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  auto object = decode_object(call, *context);
  if (!object.ok()) { co_await send_error(call, object.error()); co_return; }
  auto body = std::make_shared<const Json>(std::move(*object));
  Objects::Mutate mutate = [body](const Json*) -> Result<Json> { return *body; };
  Objects::UpdateOptions options;
  auto written = co_await call.s.objects->update(*context, options, std::move(mutate));
  co_await answer(call, *context, std::move(written));
}

namespace {

Objects::Mutate patch_mutation(Call& call, const WriteContext& context, const std::string& type, std::shared_ptr<const Json> patch,
                               ValidatorPtr validator, bool force) {
  if (type == "application/json-patch+json")
    return [patch](const Json* current) -> Result<Json> {
      auto r = k8s::apply_json_patch(*current, *patch);
      if (!r.ok() && r.error().reason.empty()) return bad_request(r.error().message);
      return r;
    };
  if (type == "application/merge-patch+json")
    return [patch](const Json* current) -> Result<Json> { return k8s::apply_merge_patch(*current, *patch); };
  if (type == "application/strategic-merge-patch+json")
    return [patch, validator](const Json* current) -> Result<Json> { return schema::strategic_merge(*current, *patch, *validator); };
  schema::Writer writer{context.manager, context.resource->api_version(context.version), context.subresource, call.s.clock().wall()};
  // What this endpoint does not write is not owned through it either.
  const auto* version = context.resource->version(context.version);
  if (context.subresource.empty() && version && version->status) writer.ignored = {"status"};
  if (context.subresource == "status")
    for (const auto& member : patch->items())
      if (member.key() != "status") writer.ignored.push_back(member.key());
  return [patch, validator, force, writer](const Json* current) -> Result<Json> {
    return schema::apply_patch(current, *patch, writer, force, validator.get());
  };
}

}  // namespace

Awaitable<void> handle_patch(Call& call) {
  auto type = media_type(call.request.headers.get("Content-Type"));
  bool apply = type == "application/apply-patch+yaml" || type == "application/apply-patch+json";
  bool known = apply || type == "application/json-patch+json" || type == "application/merge-patch+json" ||
               (type == "application/strategic-merge-patch+json" && !call.resource->custom);
  if (!known) {
    co_await send_error(call, unsupported_media_type(fmt::format(
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json{}, application/apply-patch+yaml",
        call.resource->custom ? "" : ", application/strategic-merge-patch+json")));
    co_return;
  }
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  auto decoded = decode_body(apply ? "application/yaml" : "application/json", call.request.body);
  if (!decoded.ok()) { co_await send_error(call, decoded.error()); co_return; }
  call.request.body = std::string();
  if (decoded->object.is_array() != (type == "application/json-patch+json")) {
    co_await send_error(call, bad_request(decoded->object.is_array() ? "the patch must be an object" : "the patch must be an array of operations"));
    co_return;
  }
  context->duplicate_fields = std::move(decoded->duplicates);
  if (apply) {
    if (auto bad = schema::check_manager(call.query.get_or("fieldManager", ""), true); !bad.ok()) {
      co_await send_error(call, invalid_field("meta.k8s.io", "PatchOptions", "", "fieldManager", "FieldValueRequired", "Required value: is required for apply patch"));
      co_return;
    }
    auto kind = check_kind(call, decoded->object);
    if (!kind.ok()) { co_await send_error(call, kind.error()); co_return; }
    const Json* fields = find(decoded->object, {"metadata", "managedFields"});
    if (fields && !fields->is_null() && !fields->empty()) {
      co_await send_error(call, bad_request("metadata.managedFields must be nil"));
      co_return;
    }
    if (auto name = string_at(decoded->object, {"metadata", "name"}); !name.empty() && name != call.info.name) {
      co_await send_error(call, bad_request(fmt::format("the name of the object ({}) does not match the name on the URL ({})", name, call.info.name)));
      co_return;
    }
    decoded->object["metadata"]["name"] = call.info.name;
    if (call.resource->namespaced) decoded->object["metadata"]["namespace"] = call.info.ns;
  }
  auto validator = call.s.schemas->validator(*call.resource, call.info.version);
  if (!validator.ok()) { co_await send_error(call, validator.error()); co_return; }
  if (type == "application/strategic-merge-patch+json" && !*validator) {
    co_await send_error(call, unsupported_media_type("strategic merge patch is not possible for this kind"));
    co_return;
  }
  auto patch = std::make_shared<const Json>(std::move(decoded->object));
  bool force = query_flag(call.query, "force");
  auto mutate = patch_mutation(call, *context, type, patch, *validator, force);
  Objects::UpdateOptions options;
  options.patch = true;
  options.apply = apply;
  options.create_when_absent = apply && call.info.subresource.empty();
  auto written = co_await call.s.objects->update(*context, options, std::move(mutate));
  co_await answer(call, *context, std::move(written));
}

namespace {

/// DeleteOptions from the body and, as older clients do, from the query.
Result<Deletion> parse_deletion(Call& call, WriteContext& context) {
  Deletion d;
  if (!call.request.body.empty()) {
    NV_TRY(auto decoded, decode_body(call.request.headers.get("Content-Type"), call.request.body));
    if (!decoded.object.is_object()) return bad_request("DeleteOptions must be an object");
    d.options = std::move(decoded.object);
    auto kind = string_at(d.options, {"kind"});
    if (!kind.empty() && kind != "DeleteOptions") return bad_request(fmt::format("expected DeleteOptions, got {}", kind));
  }
  if (const Json* g = find(d.options, {"gracePeriodSeconds"}); g && g->is_number_integer()) d.grace_seconds = g->get<std::int64_t>();
  d.propagation = string_at(d.options, {"propagationPolicy"});
  if (const Json* orphan = find(d.options, {"orphanDependents"}); orphan && orphan->is_boolean()) {
    if (!d.propagation.empty()) return bad_request("orphanDependents and deletionPropagation cannot be both set");
    d.propagation = orphan->get<bool>() ? "Orphan" : "Background";
  }
  d.uid = string_at(d.options, {"preconditions", "uid"});
  d.resource_version = string_at(d.options, {"preconditions", "resourceVersion"});
  if (const Json* dry = find(d.options, {"dryRun"}); dry && dry->is_array() && !dry->empty()) {
    if (dry->front() != "All") return invalid_field("meta.k8s.io", "DeleteOptions", "", "dryRun", "FieldValueNotSupported", "Unsupported value: supported values: \"All\"");
    context.dry_run = true;
  }
  if (auto g = call.query.get("gracePeriodSeconds"); g && !g->empty()) d.grace_seconds = std::strtoll(g->c_str(), nullptr, 10);
  if (auto p = call.query.get("propagationPolicy"); p && !p->empty()) d.propagation = *p;
  if (auto o = call.query.get("orphanDependents"); o && d.propagation.empty()) d.propagation = *o == "true" ? "Orphan" : "Background";
  if (d.grace_seconds && *d.grace_seconds < 0) d.grace_seconds = 1;
  if (!d.propagation.empty() && d.propagation != "Background" && d.propagation != "Foreground" && d.propagation != "Orphan")
    return invalid("meta.k8s.io", "DeleteOptions", "", {{"propagationPolicy", "FieldValueNotSupported",
        fmt::format("Unsupported value: \"{}\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"\"", d.propagation)}});
  return d;
}

}  // namespace

Awaitable<void> handle_delete(Call& call) {
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  auto deletion = parse_deletion(call, *context);
  if (!deletion.ok()) { co_await send_error(call, deletion.error()); co_return; }
  auto deleted = co_await call.s.objects->remove(*context, std::move(*deletion));
  call.warnings.insert(call.warnings.end(), context->warnings.begin(), context->warnings.end());
  if (!deleted.ok()) { co_await send_error(call, deleted.error()); co_return; }
  if (deleted->gone && call.form.kind == AnswerForm::Kind::Object) {
    // Pods and the like answer with the object also when it is gone at once; the rest with a Status.
    auto status = success_status(*call.resource, call.info.name, string_at(deleted->object, {"metadata", "uid"}));
    if (call.resource->id == "pods" || call.resource->id == "services") co_await send_object(call, 200, std::move(deleted->object));
    else co_await send_value(call, 200, std::move(status));
    co_return;
  }
  co_await send_object(call, 200, std::move(deleted->object));
}

Awaitable<void> handle_delete_collection(Call& call) {
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  auto deletion = parse_deletion(call, *context);
  if (!deletion.ok()) { co_await send_error(call, deletion.error()); co_return; }
  const auto& info = *call.resource;
  auto selection = Selection::parse(call.query, call.resource, call.info.version, info.namespaced ? call.info.ns : "", "");
  if (!selection.ok()) { co_await send_error(call, selection.error()); co_return; }
  std::vector<StoredPtr> items;
  call.s.store->list(info.id, selection->ns(), "", [&](const StoredPtr& o) { if (selection->matches(*o)) items.push_back(o); return true; });
  Json list{{"kind", info.list_kind}, {"apiVersion", info.api_version(call.info.version)}, {"items", Json::array()}};
  for (const auto& item : items) {
    WriteContext one = *context;
    one.ns = item->ns;
    one.name = item->name;
    Deletion d = *deletion;
    auto deleted = co_await call.s.objects->remove(one, std::move(d));
    if (deleted.ok()) list["items"].push_back(std::move(deleted->object));
    else if (deleted.error().reason != "NotFound") { co_await send_error(call, deleted.error()); co_return; }
  }
  list["metadata"] = {{"resourceVersion", std::to_string(call.s.store->revision())}};
  call.form.kind = AnswerForm::Kind::Object;
  co_await send_value(call, 200, std::move(list));
}

}  // namespace nodevirt::apiserver
