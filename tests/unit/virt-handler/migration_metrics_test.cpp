// What Prometheus hears of a migration away from this node.
#include <catch2/catch.hpp>

#include "virt-handler/metrics/migration_metrics.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

TEST_CASE("a migration that goes on is measured where it comes from") {
  Json object = Json::parse(R"({"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","metadata":{"name":"vm","namespace":"n","uid":"u",
    "annotations":{"nodevirt.io/migration-progress":"{\"uid\":\"m1\",\"mode\":\"PreCopy\",\"iteration\":3,\"processedBytes\":100,\"totalBytes\":300,\"remainingBytes\":200,\"dirtyRateBytesPerSecond\":7,\"bandwidthBytesPerSecond\":9,\"throttlePercent\":20,\"predictedDowntimeMs\":1500,\"predictedEndSeconds\":null}"}},
    "spec":{"domain":{"devices":{}}},"status":{"phase":"Running","nodeName":"a","migrationState":{"migrationUid":"m1","sourceNode":"a","targetNode":"b","startTimestamp":"2026-01-01T00:00:00Z"}}})");
  auto text = [&](const char* node) {
    auto instance = InstanceObject::decode(object);
    REQUIRE(instance.ok());
    MetricText out;
    migration_metrics(out, *instance, node);
    return out.text();
  };
  CHECK(text("a").find("kubevirt_vmi_migration_data_remaining_bytes{namespace=\"n\",name=\"vm\",node=\"a\"} 200\n") != std::string::npos);
  CHECK(text("a").find("nodevirt_vmi_migration_predicted_downtime_seconds{namespace=\"n\",name=\"vm\",node=\"a\"} 1.5\n") != std::string::npos);
  CHECK(text("a").find("predicted_end") == std::string::npos);
  CHECK(text("a").find("migration_disk") == std::string::npos);
  object["metadata"]["annotations"]["nodevirt.io/migration-progress"] = R"({"uid":"m1","iteration":0,"totalBytes":300,"remainingBytes":200,"diskTotalBytes":90,"diskRemainingBytes":30})";
  CHECK(text("a").find("nodevirt_vmi_migration_disk_total_bytes{namespace=\"n\",name=\"vm\",node=\"a\"} 90\n") != std::string::npos);
  CHECK(text("a").find("nodevirt_vmi_migration_disk_remaining_bytes{namespace=\"n\",name=\"vm\",node=\"a\"} 30\n") != std::string::npos);
  CHECK(text("b").empty());
  SECTION("ended") { object["status"]["migrationState"]["completed"] = true; }
  SECTION("another migration's words") { object["status"]["migrationState"]["migrationUid"] = "m2"; }
  SECTION("nonsense") { object["metadata"]["annotations"]["nodevirt.io/migration-progress"] = "{"; }
  CHECK(text("a").empty());
}
