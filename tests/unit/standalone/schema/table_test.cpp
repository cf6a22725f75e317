// What `kubectl get` shows.
#include <catch2/catch.hpp>

#include "standalone/schema/table.hpp"

using namespace nodevirt;
using namespace nodevirt::schema;

namespace {

Json json(std::string_view text) {
  auto v = parse_json(text);
  INFO(text);
  REQUIRE(v.ok());
  return std::move(*v);
}

const Clock::WallTime kNow = *parse_time("2026-01-01T01:00:00Z");

std::string row(const char* group, const char* kind, std::string_view object, bool wide = false) {
  auto format = TableFormat::builtin(group, kind);
  const Json columns = format->columns(), cells = format->cells(json(object), kNow);
  REQUIRE(columns.size() == cells.size());
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (wide || columns[i]["priority"] == 0) out += (out.empty() ? "" : "|") + (cells[i].is_string() ? cells[i].get<std::string>() : cells[i].dump());
  return out;
}

}  // namespace

TEST_CASE("durations as people read them") {
  using namespace std::chrono;
  const std::pair<std::int64_t, const char*> cases[] = {
      {-5, "<invalid>"}, {-1, "0s"}, {0, "0s"}, {119, "119s"}, {120, "2m"}, {200, "3m20s"}, {599, "9m59s"}, {600, "10m"}, {10799, "179m"}, {10800, "3h"},
      {12000, "3h20m"}, {28800, "8h"}, {172799, "47h"}, {172800, "2d"}, {187200, "2d4h"}, {691200, "8d"}, {63072000, "2y"}, {64000000, "2y10d"}, {252288000, "8y"}};
  for (auto [s, want] : cases) CHECK(human_duration(seconds(s)) == want);
}

TEST_CASE("pods") {
  struct Case { const char *name, *pod, *want; };
  const Case cases[] = {
      {"pending", R"({"metadata":{"name":"p","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"containers":[{}]},"status":{"phase":"Pending"}})", "p|0/1|Pending|0|60m"},
      {"running", R"({"metadata":{"name":"p"},"spec":{"containers":[{},{}]},"status":{"phase":"Running","containerStatuses":[{"ready":true,"restartCount":0,"state":{"running":{}}},{"ready":false,"restartCount":2,"state":{"running":{}},"lastState":{"terminated":{"finishedAt":"2026-01-01T00:59:00Z"}}}]}})", "p|1/2|Running|2 (60s ago)|<unknown>"},
      {"creating", R"({"metadata":{"name":"p"},"spec":{"containers":[{}]},"status":{"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"ContainerCreating"}}}]}})", "p|0/1|ContainerCreating|0|<unknown>"},
      {"crashed", R"({"metadata":{"name":"p"},"spec":{"containers":[{}]},"status":{"phase":"Running","containerStatuses":[{"restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})", "p|0/1|CrashLoopBackOff|3|<unknown>"},
      {"completed", R"({"metadata":{"name":"p"},"spec":{"containers":[{}]},"status":{"phase":"Succeeded","containerStatuses":[{"state":{"terminated":{"reason":"Completed","exitCode":0}}}]}})", "p|0/1|Completed|0|<unknown>"},
      {"exit code", R"({"metadata":{"name":"p"},"spec":{"containers":[{}]},"status":{"phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":3}}}]}})", "p|0/1|ExitCode:3|0|<unknown>"},
      {"init", R"({"metadata":{"name":"p"},"spec":{"containers":[{}],"initContainers":[{},{}]},"status":{"phase":"Pending","initContainerStatuses":[{"state":{"terminated":{"exitCode":0}}},{"state":{"running":{}}}]}})", "p|0/1|Init:1/2|0|<unknown>"},
      {"init crash", R"({"metadata":{"name":"p"},"spec":{"containers":[{}],"initContainers":[{}]},"status":{"phase":"Pending","initContainerStatuses":[{"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})", "p|0/1|Init:CrashLoopBackOff|0|<unknown>"},
      {"terminating", R"({"metadata":{"name":"p","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"containers":[{}]},"status":{"phase":"Running"}})", "p|0/1|Terminating|0|<unknown>"},
      {"evicted", R"({"metadata":{"name":"p"},"spec":{"containers":[{}]},"status":{"phase":"Failed","reason":"Evicted"}})", "p|0/1|Evicted|0|<unknown>"},
      {"odd", R"({"metadata":[],"spec":1,"status":{"containerStatuses":[1,null]}})", "0/0||0|<unknown>"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) CHECK(row("", "Pod", c.pod) == c.want);
  CHECK(row("", "Pod", R"({"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[],"readinessGates":[{"conditionType":"a"}]},"status":{"phase":"Running","podIP":"10.1.1.1","conditions":[{"type":"a","status":"True"}]}})", true) ==
        "p|0/0|Running|0|<unknown>|10.1.1.1|n|<none>|1/1");
}

TEST_CASE("other built-in kinds") {
  struct Case { const char *group, *kind, *object, *want; bool wide; };
  const Case cases[] = {
      {"", "Node", R"({"metadata":{"name":"n","labels":{"node-role.kubernetes.io/control-plane":""}},"spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1","osImage":"D"},"addresses":[{"type":"InternalIP","address":"1.2.3.4"}]}})",
       "n|Ready,SchedulingDisabled|control-plane|<unknown>|v1|1.2.3.4|<none>|D|<unknown>|<unknown>", true},
      {"", "Service", R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","clusterIP":"10.0.0.1","selector":{"a":"b"},"ports":[{"port":80,"nodePort":30080,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}})",
       "s|NodePort|10.0.0.1|<none>|80:30080/TCP,53/UDP|<unknown>|a=b", true},
      {"", "Service", R"({"metadata":{"name":"s"},"spec":{"type":"LoadBalancer","clusterIP":"None"}})", "s|LoadBalancer|None|<pending>|<none>|<unknown>", false},
      {"", "Endpoints", R"({"metadata":{"name":"e"},"subsets":[{"addresses":[{"ip":"a"},{"ip":"b"}],"ports":[{"port":1},{"port":2}]}]})", "e|a:1,a:2,b:1 + 1 more...|<unknown>", false},
      {"", "ConfigMap", R"({"metadata":{"name":"c"},"data":{"a":"","b":""},"binaryData":{"c":""}})", "c|3|<unknown>", false},
      {"", "Secret", R"({"metadata":{"name":"c"},"type":"Opaque","data":{"a":""}})", "c|Opaque|1|<unknown>", false},
      {"", "PersistentVolumeClaim", R"({"metadata":{"name":"c"},"spec":{"volumeName":"v","storageClassName":"local"},"status":{"phase":"Bound","capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"]}})",
       "c|Bound|v|1Gi|RWO|local|<unset>|<unknown>", false},
      {"", "PersistentVolume", R"({"metadata":{"name":"v"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce","ReadWriteMany"],"persistentVolumeReclaimPolicy":"Delete","claimRef":{"namespace":"n","name":"c"},"storageClassName":"s"},"status":{"phase":"Bound"}})",
       "v|1Gi|RWO,RWX|Delete|Bound|n/c|s|<unset>||<unknown>", false},
      {"storage.k8s.io", "StorageClass", R"({"metadata":{"name":"s","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"p","reclaimPolicy":"Delete","volumeBindingMode":"Immediate"})",
       "s (default)|p|Delete|Immediate|false|<unknown>", false},
      {"", "Event", R"({"metadata":{"name":"e"},"type":"Normal","reason":"R","message":"m\n","involvedObject":{"kind":"Pod","name":"p"},"lastTimestamp":"2026-01-01T00:59:50Z","firstTimestamp":"2026-01-01T00:00:00Z","count":3})", "10s|Normal|R|pod/p|m", false},
      {"events.k8s.io", "Event", R"({"metadata":{"name":"e"},"type":"Normal","reason":"R","note":"m","regarding":{"kind":"Pod","name":"p"},"eventTime":"2026-01-01T00:59:50.000001Z"})", "9s|Normal|R|pod/p|m", false},
      {"rbac.authorization.k8s.io", "RoleBinding", R"({"metadata":{"name":"b"},"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s","namespace":"n"}]})", "b|Role/r|<unknown>|u||n/s", true},
      {"apiextensions.k8s.io", "CustomResourceDefinition", R"({"metadata":{"name":"c","creationTimestamp":"2026-01-01T00:00:00Z"}})", "c|2026-01-01T00:00:00Z", false},
      {"apiregistration.k8s.io", "APIService", R"({"metadata":{"name":"a"},"spec":{"service":{"namespace":"n","name":"s"}},"status":{"conditions":[{"type":"Available","status":"False","reason":"Why"}]}})", "a|n/s|False (Why)|<unknown>", false},
      {"policy", "PodDisruptionBudget", R"({"metadata":{"name":"p"},"spec":{"minAvailable":1},"status":{"disruptionsAllowed":0}})", "p|1|N/A|0|<unknown>", false},
      {"coordination.k8s.io", "Lease", R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"h"}})", "l|h|<unknown>", false},
      {"example.com", "Unknown", R"({"metadata":{"name":"l"}})", "l|<unknown>", false},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.kind << " " << c.want) CHECK(row(c.group, c.kind, c.object, c.wide) == c.want);
}

TEST_CASE("columns of custom resources") {
  auto format = TableFormat::custom(json(R"([
    {"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"},{"name":"Status","type":"string","jsonPath":".status.printableStatus"},
    {"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"},{"name":"N","type":"integer","jsonPath":".spec.n","priority":1},
    {"name":"B","type":"boolean","jsonPath":".spec.b"},{"name":"IPs","type":"string","jsonPath":".status.ips"}])"));
  REQUIRE(format.ok());
  CHECK((*format)->columns()[4] == json(R"({"name":"N","type":"integer","format":"","description":"","priority":1})"));
  CHECK((*format)->columns()[0]["format"] == "name");
  CHECK((*format)->cells(json(R"({"metadata":{"name":"v","creationTimestamp":"2026-01-01T00:59:00Z"},"spec":{"n":5,"b":true},"status":{"printableStatus":"Running","conditions":[{"type":"Ready","status":"True"}],"ips":["a","b"]}})"), kNow) ==
        json(R"(["v","60s","Running","True",5,true,"[\"a\",\"b\"]"])"));
  CHECK((*format)->cells(json(R"({"metadata":{"name":"v"},"spec":{"n":"x","b":1}})"), kNow) == json(R"(["v",null,null,null,null,null,null])"));
  CHECK((*TableFormat::custom(Json()))->columns().size() == 2);
  for (const char* bad : {R"([{"name":"a","type":"string","jsonPath":".a["}])", R"([{"name":"a","type":"text","jsonPath":".a"}])", R"([{"type":"string","jsonPath":".a"}])", R"({})"})
    DYNAMIC_SECTION(bad) CHECK_FALSE(TableFormat::custom(json(bad)).ok());
}

TEST_CASE("tables carry the object as asked") {
  const Json o = json(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"a":"x"}})");
  const Json* list[] = {&o};
  TableOptions options{IncludeObject::Metadata, kNow};
  options.list_metadata = json(R"({"resourceVersion":"5"})");
  auto format = TableFormat::builtin("", "Secret");
  Json t = render_table(*format, list, options);
  CHECK(t["metadata"]["resourceVersion"] == "5");
  CHECK(t["kind"] == "Table");
  CHECK(t["rows"][0]["object"] == json(R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"s"}})"));
  options.include_object = IncludeObject::None;
  options.column_definitions = false;
  t = render_table(*format, list, options);
  CHECK(t["rows"][0]["object"].is_null());
  CHECK(t["columnDefinitions"].empty());
  options.include_object = IncludeObject::Object;
  CHECK(render_table(*format, list, options)["rows"][0]["object"] == o);
  CHECK_FALSE(parse_include_object("Everything").ok());
}
