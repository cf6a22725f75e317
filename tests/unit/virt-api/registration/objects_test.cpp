// What virt-api enters into an API server.
#include <catch2/catch.hpp>

#include "pkg/k8s/merge_patch.hpp"
#include "virt-api/registration/objects.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

TEST_CASE("all registrations name our Service and carry the CA", "[virt-api]") {
  auto all = registrations("CA PEM");
  CHECK(all.size() == 6);
  std::size_t hooks = 0;
  for (const auto& r : all) {
    auto text = r.object.dump();
    CHECK(text.find("Q0EgUEVN") != std::string::npos);
    CHECK(text.find(R"("name":"virt-api")") != std::string::npos);
    if (r.object.contains("webhooks"))
      for (const auto& w : r.object["webhooks"]) {
        ++hooks;
        CHECK(w["sideEffects"] != "Unknown");
        CHECK(w["admissionReviewVersions"] == Json::array({"v1"}));
      }
    CHECK(already_there(r.object, r.object));
  }
  CHECK(hooks == 11);
}

TEST_CASE("what a server has filled in does not make a registration stale; a change does", "[virt-api]") {
  auto all = registrations("CA PEM");
  for (const auto& r : all) {
    auto stored = r.object;
    stored["metadata"]["uid"] = "1";
    if (stored.contains("webhooks")) stored["webhooks"][0]["namespaceSelector"] = Json::object();
    CHECK(already_there(stored, r.object));
    CHECK_FALSE(already_there(stored, registrations("another CA")[static_cast<std::size_t>(&r - all.data())].object));
  }
}
