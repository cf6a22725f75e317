#include "standalone/apiserver/objects.hpp"

#include <fmt/format.h>

#include "standalone/apiserver/admission/webhooks.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/object_steps.hpp"

namespace nodevirt::apiserver {

Awaitable<Result<Deleted>> Objects::remove(WriteContext& c, Deletion d) {
  const auto& info = *c.resource;
  if (info.id == "namespaces" && (c.name == "default" || c.name == "kube-system" || c.name == "kube-public"))
    co_return forbidden("", "namespaces", c.name, "this namespace may not be deleted");
  for (int attempt = 0;; ++attempt) {
    auto head = s_.store->head(info.id, c.ns, c.name);
    if (!head) co_return not_found(info.group, info.plural, c.name);
    if (!d.uid.empty() && d.uid != head->index.uid)
      co_return conflict(info.group, info.plural, c.name,
                         fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", d.uid, head->index.uid));
    if (!d.resource_version.empty() && d.resource_version != std::to_string(head->revision))
      co_return conflict(info.group, info.plural, c.name,
                         fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}", d.resource_version, head->revision));
    auto text = s_.store->text(info.id, head);
    if (!text.ok()) {
      if (attempt < 50) { co_await run_blocking([] {}); continue; }
      co_return describe(text.error(), info, c.name);
    }
    NV_CO_TRY(auto stored, parse_json(**text, 512));
    auto converted = co_await s_.converter->to_version(c.resource, stored, c.version);
    if (!converted.ok()) co_return Error(converted.error());
    const Json current = std::move(*converted);

    auto attrs = admission_attributes(c, "DELETE");
    attrs.options = d.options;
    auto admitted = co_await s_.webhooks->validate(attrs, Json(), current, c.warnings);
    if (!admitted.ok()) co_return Error(admitted.error());

    Json object = current;
    auto& m = mutable_meta(object);
    if (!d.propagation.empty()) {
      std::vector<std::string> finalizers;
      if (auto it = m.find("finalizers"); it != m.end() && it->is_array())
        for (const auto& f : *it) if (f != "orphan" && f != "foregroundDeletion" && f.is_string()) finalizers.push_back(f);
      if (d.propagation == "Orphan") finalizers.push_back("orphan");
      if (d.propagation == "Foreground") finalizers.push_back("foregroundDeletion");
      if (finalizers.empty()) m.erase("finalizers"); else m["finalizers"] = finalizers;
    }
    bool held = held_by_finalizers(info, object);
    bool deleting = m.contains("deletionTimestamp");
    auto grace = info.strategy->grace_seconds(object, d.grace_seconds.value_or(-1));
    auto now = s_.clock().wall();
    bool at_once = !held && grace == 0;
    if (!at_once) {
      if (!deleting) {
        m["deletionTimestamp"] = format_time(now + std::chrono::seconds(grace));
        m["deletionGracePeriodSeconds"] = grace;
        if (int_at(m, {"generation"}) > 0) m["generation"] = int_at(m, {"generation"}) + 1;
        if (info.id == "namespaces") object["status"]["phase"] = "Terminating";
      } else if (d.grace_seconds && grace < int_at(m, {"deletionGracePeriodSeconds"})) {
        m["deletionGracePeriodSeconds"] = grace;
        m["deletionTimestamp"] = format_time(now + std::chrono::seconds(grace));
      }
      if (object == current) {
        Deleted unchanged;
        unchanged.object = std::move(object);
        co_return unchanged;
      }
    }
    auto written = co_await finish(c, std::move(object), &stored, head, at_once);
    if (written.ok()) {
      Deleted out;
      out.object = std::move(written->object);
      out.gone = at_once;
      co_return out;
    }
    bool lost = written.error().reason == "Conflict" || written.error().reason == "NotFound";
    if (lost && attempt < 50) continue;
    co_return describe(written.error(), info, c.name);
  }
}

}  // namespace nodevirt::apiserver
