// Server-side apply: who owns what, what conflicts, what goes when nobody names it any more.
#include <catch2/catch.hpp>

#include "standalone/schema/apply.hpp"
#include "standalone/schema/builtin.hpp"
#include "standalone/schema/field_set.hpp"

using namespace nodevirt;
using namespace nodevirt::schema;

namespace {

Json json(std::string_view text) {
  auto v = parse_json(text);
  INFO(text);
  REQUIRE(v.ok());
  return std::move(*v);
}

const Clock::WallTime kNow = *parse_time("2026-01-02T03:04:05Z");
const Clock::WallTime kLater = *parse_time("2026-01-02T03:05:05Z");

Writer writer(std::string manager, std::string api = "v1", Clock::WallTime now = kNow) { return {std::move(manager), std::move(api), "", now}; }

std::shared_ptr<const Validator> pod() { return builtin_schema("", "v1", "Pod"); }

Json applied(const Json* live, const Json& config, const char* manager, bool force = false, const Validator* v = pod().get()) {
  auto r = apply_patch(live, config, writer(manager), force, v);
  INFO((r.ok() ? std::string() : r.error().message));
  REQUIRE(r.ok());
  return std::move(*r);
}

Json owned(const Json& object, std::string_view manager, std::string_view operation = "Apply") {
  const Json* list = find(object, {"metadata", "managedFields"});
  if (list)
    for (const Json& e : *list)
      if (e.at("manager") == manager && e.at("operation") == operation) return e.at("fieldsV1");
  return nullptr;
}

Json stripped(Json o) {
  o["metadata"].erase("managedFields");
  return o;
}

constexpr const char* kConfig = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1","b":"2"}},
  "spec":{"containers":[{"name":"c","image":"i","args":["x"],"ports":[{"containerPort":80}]}],"nodeSelector":{"k":"v"}}})";

}  // namespace

TEST_CASE("apply creates and records exactly what was named") {
  Json o = applied(nullptr, json(kConfig), "m");
  CHECK(stripped(o) == json(kConfig));
  CHECK(owned(o, "m") == json(R"({"f:metadata":{"f:labels":{"f:a":{},"f:b":{}}},
    "f:spec":{"f:nodeSelector":{},"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:image":{},"f:args":{},
      "f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}})"));
  CHECK(o["metadata"]["managedFields"][0]["time"] == "2026-01-02T03:04:05Z");
  CHECK(o["metadata"]["managedFields"][0]["apiVersion"] == "v1");
}

TEST_CASE("what is named no more and owned by nobody else goes") {
  Json live = applied(nullptr, json(kConfig), "m");
  live["spec"]["restartPolicy"] = "Always";  // a default: owned by nobody
  live["spec"]["containers"][0]["imagePullPolicy"] = "Always";
  struct Case { const char* name; const char* config; const char* want; };
  const Case cases[] = {
      {"a label", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}},"spec":{"containers":[{"name":"c","image":"i","args":["x"],"ports":[{"containerPort":80}]}],"nodeSelector":{"k":"v"}}})",
       R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}},"spec":{"restartPolicy":"Always","containers":[{"name":"c","image":"i","imagePullPolicy":"Always","args":["x"],"ports":[{"containerPort":80}]}],"nodeSelector":{"k":"v"}}})"},
      {"all labels", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})",
       R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"restartPolicy":"Always","containers":[{"name":"c","image":"i","imagePullPolicy":"Always"}]}})"},
      {"a container with its defaults", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}},"spec":{"containers":[{"name":"d","image":"j"}]}})",
       R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}},"spec":{"restartPolicy":"Always","containers":[{"name":"d","image":"j"}]}})"},
      {"the whole specification", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})",
       R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) CHECK(stripped(applied(&live, json(c.config), "m")) == json(c.want));
}

TEST_CASE("what another manager owns stays") {
  Json live = applied(nullptr, json(kConfig), "m");
  live = applied(&live, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}},"spec":{"containers":[{"name":"c","image":"i"}]}})"), "other");
  Json o = applied(&live, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})"), "m");
  CHECK(stripped(o) == json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}},"spec":{"containers":[{"name":"c","image":"i"}]}})"));
  CHECK(owned(o, "m").is_null());
  CHECK_FALSE(owned(o, "other").is_null());

  // An updater's field keeps its place too.
  live = applied(nullptr, json(kConfig), "m");
  Json updated = live;
  updated["metadata"]["labels"]["c"] = "3";
  updated["spec"]["hostname"] = "h";
  track_update(&live, updated, writer("edit"), pod().get());
  o = applied(&updated, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})"), "m");
  CHECK(stripped(o) == json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"c":"3"}},"spec":{"hostname":"h"}})"));
}

TEST_CASE("two managers may own one field while they agree") {
  Json live = applied(nullptr, json(kConfig), "m");
  const Json small = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}}})");
  live = applied(&live, small, "other");
  CHECK(owned(live, "other") == json(R"({"f:metadata":{"f:labels":{"f:a":{}}}})"));
  Json changed = small;
  changed["metadata"]["labels"]["a"] = "9";
  auto r = apply_patch(&live, changed, writer("other"), false, pod().get());
  REQUIRE_FALSE(r.ok());
  CHECK(r.error().reason == "Conflict");
  CHECK(r.error().message == "Apply failed with 1 conflict: conflict with \"m\": .metadata.labels.a");
  REQUIRE(r.error().details);
  CHECK((*r.error().details)["causes"] == json(R"([{"reason":"FieldManagerConflict","message":"conflict with \"m\"","field":".metadata.labels.a"}])"));

  Json forced = applied(&live, changed, "other", true);
  CHECK(forced["metadata"]["labels"]["a"] == "9");
  CHECK(owned(forced, "other") == json(R"({"f:metadata":{"f:labels":{"f:a":{}}}})"));
  CHECK_FALSE(owned(forced, "m")["f:metadata"]["f:labels"].contains("f:a"));
}

TEST_CASE("conflicts name the manager, its version and every field") {
  Json live = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"u","labels":{"a":"1"}},"spec":{"containers":[{"name":"c","image":"i"}],"nodeName":"n"}})");
  track_update(nullptr, live, writer("kubectl-create"), pod().get());
  auto r = apply_patch(&live, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"2"}},"spec":{"containers":[{"name":"c","image":"j"}]}})"),
                       writer("m"), false, pod().get());
  REQUIRE_FALSE(r.ok());
  CHECK(r.error().message ==
        "Apply failed with 2 conflicts: conflicts with \"kubectl-create\" using v1:\n- .metadata.labels.a\n- .spec.containers[name=\"c\"].image");
}

TEST_CASE("an object that was never applied is owned by before-first-apply") {
  const Json live = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"}},"spec":{"nodeName":"n"}})");
  const Json config = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"2"}}})");
  auto r = apply_patch(&live, config, writer("m"), false, pod().get());
  REQUIRE_FALSE(r.ok());
  CHECK(r.error().message.find("before-first-apply") != std::string::npos);
  Json o = applied(&live, config, "m", true);
  CHECK(o["metadata"]["labels"]["a"] == "2");
  CHECK_FALSE(owned(o, "before-first-apply", "Update").is_null());
}

TEST_CASE("an object of which the last owner gave up all is owned by before-first-apply, and the same apply changes nothing more") {
  Json live = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"nodeName":"n"}})");
  const Json config = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})");
  SECTION("what it applied") {
    live["metadata"]["labels"] = json(R"({"a":"2"})");
    live["metadata"]["managedFields"] =
        json(R"([{"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}}}}])");
  }
  SECTION("fields that the kind does not have") {
    live["metadata"]["managedFields"] = json(R"([{"manager":"m","operation":"Apply","apiVersion":"v2","fieldsType":"FieldsV1","fieldsV1":{"f:other":{"f:x":{}}}}])");
  }
  Json once = applied(&live, config, "m", true);
  CHECK_FALSE(owned(once, "before-first-apply", "Update").is_null());
  CHECK(once["spec"]["nodeName"] == "n");
  CHECK(find(once, {"metadata", "labels", "a"}) == nullptr);
  CHECK(equal_ignoring_managed_fields(once, applied(&once, config, "m")));
}

TEST_CASE("what this endpoint does not write is not adopted through it either") {
  const Json live = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"1"},"managedFields":[
    {"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}}}}]},
    "spec":{"nodeName":"n"},"status":{"phase":"Running"}})");
  Writer w = writer("m");
  w.ignored = {"status"};
  auto r = apply_patch(&live, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"status":{"reason":"mine"}})"), w, true, pod().get());
  REQUIRE(r.ok());
  const Json adopted = owned(*r, "before-first-apply", "Update");
  REQUIRE(adopted.is_object());
  CHECK(adopted["f:spec"].contains("f:nodeName"));
  CHECK(adopted["f:status"] == json(R"({".":{},"f:phase":{}})"));
}

TEST_CASE("lists: order, sets, atomic lists") {
  Json live = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","finalizers":["x","y"]},"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"z"}]}})");
  track_update(nullptr, live, writer("u"), pod().get());
  Json o = applied(&live, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","finalizers":["w","y"]},"spec":{"containers":[{"name":"b","image":"1"},{"name":"n"},{"name":"a"}]}})"), "m");
  std::string names;
  for (const Json& c : o["spec"]["containers"]) names += c["name"].get<std::string>();
  CHECK(names == "bzna");
  CHECK(o["metadata"]["finalizers"] == json(R"(["x","w","y"])"));
  o = applied(&o, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"tolerations":[{"key":"t"}]}})"), "m");
  CHECK(o["metadata"]["finalizers"] == json(R"(["x","y"])"));
  CHECK(o["spec"]["containers"].size() == 3);
  CHECK(owned(o, "m") == json(R"({"f:spec":{"f:tolerations":{}}})"));
  auto r = apply_patch(&o, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"tolerations":[{"key":"u"}]}})"), writer("n"), false, pod().get());
  REQUIRE_FALSE(r.ok());
  CHECK(r.error().message.find(".spec.tolerations") != std::string::npos);
}

TEST_CASE("apply refuses what it cannot place") {
  struct Case { const char* name; const char* config; const char* want; };
  const Case cases[] = {
      {"doubled key", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"a"},{"name":"a"}]}})", "duplicate entries"},
      {"doubled value", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","finalizers":["a","a"]}})", "duplicate entries"},
      {"no key", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":"a"}]}})", "omits key field \"name\""},
      {"managed fields", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","managedFields":[]}})", "managedFields must be nil"},
      {"version", R"({"apiVersion":"v2","kind":"Pod","metadata":{"name":"p"}})", "Incorrect version"},
      {"no object", R"([])", "must be an object"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) {
    auto r = apply_patch(nullptr, json(c.config), writer("m"), true, pod().get());
    REQUIRE_FALSE(r.ok());
    CHECK(r.error().message.find(c.want) != std::string::npos);
  }
}

TEST_CASE("without a schema maps are granular and lists atomic") {
  Json live = applied(nullptr, json(R"({"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"spec":{"m":{"a":1,"b":{}},"l":[{"name":"a"}]}})"), "m", false, nullptr);
  CHECK(owned(live, "m") == json(R"({"f:spec":{".":{},"f:l":{},"f:m":{".":{},"f:a":{},"f:b":{}}}})"));
  Json o = applied(&live, json(R"({"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"spec":{"m":{"a":1}}})"), "m", false, nullptr);
  CHECK(stripped(o) == json(R"({"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"spec":{"m":{"a":1}}})"));
}

TEST_CASE("applying the same again changes nothing, not even the time") {
  Json live = applied(nullptr, json(kConfig), "m");
  auto r = apply_patch(&live, json(kConfig), writer("m", "v1", kLater), false, pod().get());
  REQUIRE(r.ok());
  CHECK(*r == live);
  CHECK(equal_ignoring_managed_fields(*r, live));
}

TEST_CASE("ordinary writes are tracked") {
  auto v = pod();
  Json created = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"u","resourceVersion":"1","labels":{"a":"1"}},"spec":{"nodeName":"n"}})");
  track_update(nullptr, created, writer("create"), v.get());
  CHECK(owned(created, "create", "Update") == json(R"({"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{".":{},"f:nodeName":{}}})"));

  SECTION("a change takes the field over") {
    Json o = created;
    o["metadata"]["labels"]["a"] = "2";
    o["metadata"]["resourceVersion"] = "2";
    track_update(&created, o, writer("label", "v1", kLater), v.get());
    CHECK(owned(o, "label", "Update") == json(R"({"f:metadata":{"f:labels":{"f:a":{}}}})"));
    CHECK_FALSE(owned(o, "create", "Update")["f:metadata"]["f:labels"].contains("f:a"));
  }
  SECTION("a removal disowns") {
    Json o = created;
    o["metadata"].erase("labels");
    track_update(&created, o, writer("x", "v1", kLater), v.get());
    CHECK(owned(o, "create", "Update") == json(R"({"f:spec":{".":{},"f:nodeName":{}}})"));
    CHECK(owned(o, "x", "Update").is_null());
  }
  SECTION("no change leaves everything as it was") {
    Json o = created;
    track_update(&created, o, writer("y", "v1", kLater), v.get());
    CHECK(o == created);
  }
  SECTION("an absent list is the stored one; [] clears it") {
    Json o = stripped(created);
    track_update(&created, o, writer("y", "v1", kLater), v.get());
    CHECK(o == created);
    o["metadata"]["managedFields"] = Json::array();
    track_update(&created, o, writer("y", "v1", kLater), v.get());
    CHECK_FALSE(o["metadata"].contains("managedFields"));
    Json next = o;
    next["spec"]["hostname"] = "h";
    track_update(&o, next, writer("y", "v1", kLater), v.get());
    CHECK_FALSE(next["metadata"].contains("managedFields"));
  }
  SECTION("a subresource has entries of its own, and takes no lists from clients") {
    Json o = created;
    o["status"]["phase"] = "Running";
    o["metadata"]["managedFields"] = Json::array();
    Writer w = writer("kubelet");
    w.subresource = "status";
    track_update(&created, o, w, v.get());
    CHECK(owned(o, "kubelet", "Update") == json(R"({"f:status":{".":{},"f:phase":{}}})"));
    CHECK_FALSE(owned(o, "create", "Update").is_null());
  }
  SECTION("what an endpoint does not write is not owned through it") {
    Json o = created;
    o["status"]["phase"] = "Running";
    Writer w = writer("z");
    w.ignored = {"status"};
    track_update(&created, o, w, v.get());
    CHECK(owned(o, "z", "Update").is_null());
  }
}

TEST_CASE("updaters are capped at ten, the oldest go together") {
  Json o = json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k0":"0"}})");
  auto v = builtin_schema("", "v1", "ConfigMap");
  track_update(nullptr, o, writer("m0"), v.get());
  for (int i = 1; i < 15; ++i) {
    Json next = o;
    next["data"]["k" + std::to_string(i)] = "x";
    track_update(&o, next, writer("m" + std::to_string(i), "v1", kNow + std::chrono::seconds(i)), v.get());
    o = std::move(next);
  }
  CHECK(o["metadata"]["managedFields"].size() == 10);
  const Json ancient = owned(o, "ancient-changes", "Update");
  REQUIRE(ancient.is_object());
  for (const char* k : {"f:k0", "f:k1", "f:k4"}) CHECK(ancient["f:data"].contains(k));
  CHECK_FALSE(owned(o, "m14", "Update").is_null());
}

TEST_CASE("kubectl takes over what it had applied on the client's side") {
  Json live = json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","annotations":{}},"data":{"a":"1","b":"2"}})");
  live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"1"}})";
  auto v = builtin_schema("", "v1", "ConfigMap");
  track_update(nullptr, live, writer("kubectl-client-side-apply"), v.get());
  Json o = applied(&live, json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"9"}})"), "kubectl", false, v.get());
  CHECK(o["data"]["a"] == "9");
  CHECK(o["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] ==
        "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"9\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}\n");
  auto r = apply_patch(&live, json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"b":"9"}})"), writer("kubectl"), false, v.get());
  REQUIRE_FALSE(r.ok());
}

TEST_CASE("what admission took away is disowned") {
  Json o = applied(nullptr, json(kConfig), "m");
  Json final = o;
  final["metadata"]["labels"].erase("b");
  final["spec"]["hostname"] = "set-by-admission";
  track_apply_result(o, final, pod().get());
  CHECK(owned(final, "m")["f:metadata"] == json(R"({"f:labels":{"f:a":{}}})"));
}

TEST_CASE("managedFields from clients are checked") {
  struct Case { const char* name; const char* list; bool good; };
  const Case cases[] = {
      {"good", R"([{"manager":"m","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:a":{".":{},"k:{\"name\":\"x\"}":{}}}}])", true},
      {"reset", R"([{}])", true}, {"empty", R"([])", true},
      {"operation", R"([{"manager":"m","operation":"Delete","apiVersion":"v1","fieldsType":"FieldsV1"}])", false},
      {"type", R"([{"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"V2"}])", false},
      {"element", R"([{"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"x:a":{}}}])", false},
      {"key", R"([{"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"k:[1]":{}}}])", false},
      {"value", R"([{"manager":"m","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:a":1}}])", false},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) {
    Json o = json(R"({"metadata":{}})");
    o["metadata"]["managedFields"] = json(c.list);
    CHECK(validate_managed_fields(o).empty() == c.good);
    track_update(nullptr, o, writer("w"), nullptr);  // never fails
  }
  CHECK(check_manager("kubectl", true).ok());
  CHECK_FALSE(check_manager("", true).ok());
  CHECK(check_manager("", false).ok());
  CHECK_FALSE(check_manager(std::string(129, 'a'), false).ok());
  CHECK_FALSE(check_manager("a\nb", false).ok());
}

TEST_CASE("field sets survive encoding") {
  const Json text = json(R"({"f:a":{".":{},"f:b":{}},"k:{\"name\":\"x\",\"port\":1}":{},"v:\"s\"":{},"i:0":{"f:c":{}}})");
  auto set = FieldSet::decode(text);
  REQUIRE(set.ok());
  CHECK(set->encode() == text);
  CHECK(set->paths() == std::vector<std::string>{".a", ".a.b", "[0].c", "[name=\"x\",port=1]", "[=\"s\"]"});
}
