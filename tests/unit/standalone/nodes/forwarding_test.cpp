// net.ipv4.ip_forward is put back when the last instance goes, by whoever, whatever crashed in between.
#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"
#include "standalone/nodes/forwarding.hpp"

using namespace nodevirt;
using namespace nodevirt::nodes;
namespace fs = std::filesystem;

namespace {

struct Machine {
  TempDir dir;
  ForwardingPlaces places{dir.path() / "run", dir.path() / "ip_forward", dir.path() / "links"};
  explicit Machine(const std::string& value) {
    fs::create_directories(places.links / "eth0");
    REQUIRE(write_file_atomic(places.setting, value + "\n").ok());
  }
  std::string value() const { return read_file(places.setting).value().substr(0, 1); }
  void up(const std::string& name) {
    fs::create_directories(places.links / ("nvbr" + name));
    REQUIRE(hold_forwarding(places).ok());
  }
  void down(const std::string& name) {
    fs::remove(places.links / ("nvbr" + name));
    REQUIRE(release_forwarding(places).ok());
  }
};

}  // namespace

TEST_CASE("forwarding is put back when it was us", "[nodes]") {
  Machine m("0");
  m.up("a");
  CHECK(m.value() == "1");
  m.up("a");   // a second `up`, after a crash
  m.down("a");
  CHECK(m.value() == "0");
  m.up("a");
  CHECK(m.value() == "1");
  m.down("a");
  m.down("a");   // said again
  CHECK(m.value() == "0");
}

TEST_CASE("forwarding that was on stays on", "[nodes]") {
  Machine m("1");
  m.up("a");
  m.down("a");
  CHECK(m.value() == "1");
}

TEST_CASE("forwarding stays on while another instance needs it", "[nodes]") {
  Machine m("0");
  m.up("a");
  m.up("b");
  m.down("a");   // the one that switched it on goes first
  CHECK(m.value() == "1");
  m.down("b");
  CHECK(m.value() == "0");
}

TEST_CASE("a crash between the record and the change, and one of another boot", "[nodes]") {
  Machine m("0");
  m.up("a");
  REQUIRE(write_file_atomic(m.places.setting, "0\n").ok());   // as if killed before the change
  m.up("a");
  CHECK(m.value() == "1");
  m.down("a");
  CHECK(m.value() == "0");

  Machine later("1");
  fs::create_directories(later.places.record_dir);
  REQUIRE(write_file_atomic(later.places.record_dir / "forwarding.json", R"({"before":"0","bootID":"another"})").ok());
  later.up("a");
  later.down("a");
  CHECK(later.value() == "1");   // whoever switched it on since the machine was started meant it
}
