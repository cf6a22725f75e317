// The built-in kinds: data that parses, defaults, checks, metadata.
#include <catch2/catch.hpp>

#include "standalone/schema/builtin.hpp"
#include "standalone/schema/builtin_types.hpp"
#include "standalone/schema/node.hpp"

using namespace nodevirt;
using namespace nodevirt::schema;

namespace {

Json json(std::string_view text) {
  auto v = parse_json(text);
  INFO(text);
  REQUIRE(v.ok());
  return std::move(*v);
}

std::string all(const std::vector<FieldError>& errors) {
  std::string out;
  for (const auto& e : errors) out += (out.empty() ? "" : "\n") + to_string(e);
  return out;
}

}  // namespace

TEST_CASE("every built-in kind has a schema that compiles") {
  struct Case { const char *group, *version, *kind; };
  const Case cases[] = {
      {"", "v1", "Namespace"}, {"", "v1", "Pod"}, {"", "v1", "Node"}, {"", "v1", "Service"}, {"", "v1", "Endpoints"}, {"", "v1", "ConfigMap"},
      {"", "v1", "Secret"}, {"", "v1", "ServiceAccount"}, {"", "v1", "PersistentVolume"}, {"", "v1", "PersistentVolumeClaim"}, {"", "v1", "Event"},
      {"", "v1", "ResourceQuota"}, {"", "v1", "LimitRange"}, {"", "v1", "Binding"}, {"apps", "v1", "ControllerRevision"},
      {"coordination.k8s.io", "v1", "Lease"}, {"discovery.k8s.io", "v1", "EndpointSlice"}, {"events.k8s.io", "v1", "Event"},
      {"policy", "v1", "PodDisruptionBudget"}, {"policy", "v1", "Eviction"}, {"rbac.authorization.k8s.io", "v1", "Role"},
      {"rbac.authorization.k8s.io", "v1", "RoleBinding"}, {"rbac.authorization.k8s.io", "v1", "ClusterRole"},
      {"rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"}, {"scheduling.k8s.io", "v1", "PriorityClass"}, {"storage.k8s.io", "v1", "StorageClass"},
      {"apiextensions.k8s.io", "v1", "CustomResourceDefinition"}, {"apiregistration.k8s.io", "v1", "APIService"},
      {"admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"}, {"admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration"},
      {"authorization.k8s.io", "v1", "SubjectAccessReview"}, {"authorization.k8s.io", "v1", "SelfSubjectAccessReview"},
      {"authorization.k8s.io", "v1", "LocalSubjectAccessReview"}, {"authorization.k8s.io", "v1", "SelfSubjectRulesReview"},
      {"authentication.k8s.io", "v1", "TokenReview"}, {"authentication.k8s.io", "v1", "TokenRequest"}, {"authentication.k8s.io", "v1", "SelfSubjectReview"},
      {"autoscaling", "v1", "Scale"}};
  for (const auto& c : cases) DYNAMIC_SECTION(c.group << "/" << c.kind) {
    auto v = builtin_schema(c.group, c.version, c.kind);
    REQUIRE(v);
    CHECK(v->root().member("metadata"));
    CHECK(v->validate(json(R"({"metadata":{"name":"x"}})")).size() < 5);
  }
  CHECK_FALSE(builtin_schema("", "v1", "Deployment"));
  CHECK_FALSE(builtin_schema("", "v2", "Pod"));
  CHECK_FALSE(builtin_schema("apps", "v1", "Pod"));
}

TEST_CASE("every type that the data refers to is there") {
  std::set<std::string> missing;
  for (std::size_t f = 0; f < kBuiltinFileCount; ++f) {
    std::string_view text = kBuiltinFiles[f].text;
    for (std::size_t at = 0; (at = text.find("\ntype ", at)) != std::string_view::npos;) {
      at += 6;
      const auto name = text.substr(at, text.find_first_of(" \n", at) - at);
      auto d = builtin_definition(std::string(kBuiltinFiles[f].name) + "." + std::string(name));
      REQUIRE(d);
      std::vector<std::string> references;
      collect_references(*d, references);
      for (const auto& r : references)
        if (!builtin_definition(r)) missing.insert(r);
      // A scalar that is misspelt would have no type.
      if (auto p = d->find("properties"); p != d->end())
        for (auto& [field, s] : p->items()) {
          INFO(name << "." << field);
          CHECK((s.contains("type") || s.contains("$ref") || s.contains("x-kubernetes-preserve-unknown-fields")));
        }
    }
  }
  CHECK(missing == std::set<std::string>{});
}

TEST_CASE("defaults of pods and services") {
  Json pod = json(R"({"metadata":{"name":"p"},"spec":{"restartPolicy":"","serviceAccountName":"sa","volumes":[{"name":"v"},{"name":"s","secret":{"secretName":"x"}}],
    "containers":[{"name":"a","image":"r/i:1","ports":[{"containerPort":1}],"resources":{"limits":{"cpu":"1"}},"livenessProbe":{"httpGet":{"port":80}}},{"name":"b","image":"i"}]}})");
  apply_builtin_defaults("", "v1", "Pod", pod);
  const Json& spec = pod["spec"];
  CHECK(spec["restartPolicy"] == "Always");
  CHECK(spec["terminationGracePeriodSeconds"] == 30);
  CHECK(spec["serviceAccount"] == "sa");
  CHECK(spec["volumes"][0] == json(R"({"name":"v","emptyDir":{}})"));
  CHECK(spec["volumes"][1]["secret"]["defaultMode"] == 420);
  CHECK(spec["containers"][0]["imagePullPolicy"] == "IfNotPresent");
  CHECK(spec["containers"][1]["imagePullPolicy"] == "Always");
  CHECK(spec["containers"][0]["ports"][0]["protocol"] == "TCP");
  CHECK(spec["containers"][0]["resources"]["requests"] == json(R"({"cpu":"1"})"));
  CHECK(spec["containers"][0]["livenessProbe"] == json(R"({"httpGet":{"port":80,"path":"/","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3})"));

  Json service = json(R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}})");
  apply_builtin_defaults("", "v1", "Service", service);
  CHECK(service["spec"] == json(R"({"type":"ClusterIP","sessionAffinity":"None","internalTrafficPolicy":"Cluster","ports":[{"port":80,"targetPort":80,"protocol":"TCP"}]})"));

  Json secret = json(R"({"stringData":{"a":"hello","b":"","c":"hi!"},"data":{"z":"eA=="}})");
  apply_builtin_defaults("", "v1", "Secret", secret);
  CHECK(secret == json(R"({"type":"Opaque","data":{"a":"aGVsbG8=","b":"","c":"aGkh","z":"eA=="}})"));
}

TEST_CASE("pods are checked") {
  struct Case { const char* name; const char* spec; const char* want; };
  const Case cases[] = {
      {"good", R"({"containers":[{"name":"a","image":"i"}]})", ""},
      {"no containers", R"({})", "spec.containers: Required value"},
      {"empty containers", R"({"containers":[]})", "spec.containers: Required value"},
      {"no image", R"({"containers":[{"name":"a"}]})", "spec.containers[0].image: Required value"},
      {"no name", R"({"containers":[{"image":"a"}]})", "spec.containers[0].name: Required value"},
      {"policy", R"({"containers":[{"name":"a","image":"i"}],"restartPolicy":"Sometimes"})",
       R"(spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure")"},
      {"mount of nothing", R"({"containers":[{"name":"a","image":"i","volumeMounts":[{"name":"v","mountPath":"/x"}]}]})", R"(spec.containers[0].volumeMounts[0].name: Not found: "v")"},
      {"two volumes of a name", R"({"containers":[{"name":"a","image":"i"}],"volumes":[{"name":"v","emptyDir":{}},{"name":"v","emptyDir":{}}]})",
       "spec.volumes[1]: Duplicate value: {\"name\":\"v\"}\nspec.volumes[1].name: Duplicate value: \"v\""},
      {"port", R"({"containers":[{"name":"a","image":"i","ports":[{"containerPort":70000,"protocol":"TCP"}]}]})", "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
      {"quantity", R"({"containers":[{"name":"a","image":"i","resources":{"limits":{"cpu":"lots"}}}]})",
       "spec.containers[0].resources.limits.cpu: Invalid value: \"lots\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
      {"request over limit", R"({"containers":[{"name":"a","image":"i","resources":{"limits":{"memory":"1Mi"},"requests":{"memory":"2Mi"}}}]})",
       "spec.containers[0].resources.requests[memory]: Invalid value: \"2Mi\": must be less than or equal to memory limit of 1Mi"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) {
    Json o = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})");
    o["spec"] = json(c.spec);
    auto errors = builtin_schema("", "v1", "Pod")->validate(o);
    for (auto& e : validate_builtin("", "v1", "Pod", o)) errors.push_back(std::move(e));
    CHECK(all(errors) == c.want);
  }
  Json old = json(R"({"spec":{"containers":[{"name":"a","image":"i"}],"hostname":"h"}})"), now = old;
  now["spec"]["containers"][0]["image"] = "j";
  now["spec"]["nodeName"] = "n";
  CHECK(all(validate_builtin("", "v1", "Pod", now, &old)).empty());
  now["spec"]["hostname"] = "k";
  CHECK(all(validate_builtin("", "v1", "Pod", now, &old)).find("spec: Forbidden: pod updates may not change") == 0);
}

TEST_CASE("status may leave out what clients must give") {
  Json pod = json(R"({"metadata":{"name":"p","creationTimestamp":null},"spec":{"containers":[{"name":"a","image":"i"}]},
    "status":{"containerStatuses":[{"name":"a","ready":false,"restartCount":0,"image":"","imageID":"","state":{},"lastState":{}}]}})");
  auto v = builtin_schema("", "v1", "Pod");
  std::vector<std::string> dropped;
  v->prune(pod, &dropped);
  CHECK(dropped.empty());
  CHECK_FALSE(pod["metadata"].contains("creationTimestamp"));
  CHECK(all(v->validate(pod)).empty());
}

TEST_CASE("other kinds are checked") {
  struct Case { const char *name, *group, *kind, *object, *want; };
  const Case cases[] = {
      {"service without ports", "", "Service", R"({"spec":{"type":"ClusterIP"}})", "spec.ports: Required value"},
      {"headless service without ports", "", "Service", R"({"spec":{"clusterIP":"None"}})", ""},
      {"unnamed ports", "", "Service", R"({"spec":{"ports":[{"port":1,"protocol":"TCP"},{"port":2,"name":"b","protocol":"TCP"}]}})", "spec.ports[0].name: Required value"},
      {"address", "", "Service", R"({"spec":{"clusterIP":"x","ports":[{"port":1}]}})", "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"},
      {"claim", "", "PersistentVolumeClaim", R"({"spec":{"accessModes":["Often"]}})",
       "spec.accessModes: Unsupported value: \"Often\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"\nspec.resources[storage]: Required value"},
      {"config key", "", "ConfigMap", R"({"data":{"a/b":"x"}})", nullptr},
      {"role", "rbac.authorization.k8s.io", "Role", R"({"rules":[{"verbs":["get"],"apiGroups":[""]}]})", "rules[0].resources: Required value: resource rules must supply at least one resource"},
      {"binding", "rbac.authorization.k8s.io", "ClusterRoleBinding", R"({"kind":"ClusterRoleBinding","roleRef":{"kind":"Role","name":"x"}})",
       "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""},
      {"budget", "policy", "PodDisruptionBudget", R"({"spec":{"minAvailable":1,"maxUnavailable":1}})", nullptr},
      {"tls", "", "Secret", R"({"type":"kubernetes.io/tls","data":{"tls.crt":""}})", "data[tls.key]: Required value"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) {
    const auto errors = validate_builtin(c.group, "v1", c.kind, json(c.object));
    if (c.want) CHECK(all(errors) == c.want);
    else CHECK(errors.size() == 1);
  }
}

TEST_CASE("metadata is checked") {
  struct Case { const char *name, *object, *want; bool namespaced; };
  const Case cases[] = {
      {"good", R"({"kind":"X","metadata":{"name":"a.b","namespace":"n"}})", "", true},
      {"no name", R"({"metadata":{"namespace":"n"}})", "metadata.name: Required value: name or generateName is required", true},
      {"generateName", R"({"metadata":{"generateName":"a-","namespace":"n"}})", "", true},
      {"no namespace", R"({"metadata":{"name":"a"}})", "metadata.namespace: Required value", true},
      {"namespace", R"({"metadata":{"name":"a","namespace":"n"}})", "metadata.namespace: Forbidden: not allowed on this type", false},
      {"capital", R"({"metadata":{"name":"A"}})",
       "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')", false},
      {"role", R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"system:a"}})", "", false},
      {"no metadata", R"({})", "metadata: Required value", false},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) CHECK(all(validate_metadata(json(c.object), c.namespaced)) == c.want);
  CHECK(all(validate_metadata(json(R"({"metadata":{"name":"a","labels":{"a/b/c":"x"}}})"), false)).find("metadata.labels: Invalid value: \"a/b/c\"") == 0);
  CHECK(all(validate_metadata(json(R"({"metadata":{"name":"a","labels":{"a":"x y"}}})"), false)).find("metadata.labels: Invalid value: \"x y\"") == 0);
  const Json old = json(R"({"metadata":{"name":"a","uid":"1","deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["x/y"]}})");
  Json now = old;
  CHECK(validate_metadata(now, false, &old).empty());
  now["metadata"]["uid"] = "2";
  CHECK(all(validate_metadata(now, false, &old)) == "metadata.uid: Invalid value: \"2\": field is immutable");
  now = old;
  now["metadata"]["finalizers"].push_back("z/z");
  CHECK(all(validate_metadata(now, false, &old)).find("metadata.finalizers: Forbidden: no new finalizers") == 0);
}
