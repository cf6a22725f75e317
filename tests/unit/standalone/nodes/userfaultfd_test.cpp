// vm.unprivileged_userfaultfd is put back when the last instance that asked for it goes, by whoever, whatever crashed in between.
#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"
#include "standalone/nodes/userfaultfd.hpp"

using namespace nodevirt;
using namespace nodevirt::nodes;
namespace fs = std::filesystem;

namespace {

struct Machine {
  TempDir dir;
  UserfaultfdPlaces places{dir.path() / "run", dir.path() / "unprivileged_userfaultfd", dir.path() / "links"};
  explicit Machine(const std::string& value) { REQUIRE(write_file_atomic(places.setting, value + "\n").ok()); }
  std::string value() const { return read_file(places.setting).value().substr(0, 1); }
  bool up(const std::string& bridge) {
    fs::create_directories(places.links / bridge);
    auto held = hold_userfaultfd(bridge, places);
    REQUIRE(held.ok());
    return *held;
  }
  void down(const std::string& bridge) {
    fs::remove(places.links / bridge);
    REQUIRE(release_userfaultfd(bridge, places).ok());
  }
};

}  // namespace

TEST_CASE("userfaultfd is put back when it was us", "[nodes]") {
  Machine m("0");
  CHECK(m.up("nvbra"));
  CHECK(m.value() == "1");
  CHECK_FALSE(m.up("nvbra"));   // a second `up`, after a crash
  m.down("nvbra");
  CHECK(m.value() == "0");
  m.down("nvbra");              // said again
  CHECK(m.value() == "0");
  CHECK(m.up("nvbra"));
  REQUIRE(release_userfaultfd("nvbra", m.places).ok());   // taken back, with the instance still there
  CHECK(m.value() == "0");
}

TEST_CASE("userfaultfd that was on is nobody's to put back", "[nodes]") {
  Machine m("1");
  CHECK_FALSE(m.up("nvbra"));
  m.down("nvbra");
  CHECK(m.value() == "1");
}

TEST_CASE("userfaultfd stays on for another instance that asked", "[nodes]") {
  Machine m("0");
  m.up("nvbra");
  m.up("nvbrb");
  m.down("nvbrc");   // never asked
  m.down("nvbra");   // the one that switched it on goes first
  CHECK(m.value() == "1");
  m.down("nvbrb");
  CHECK(m.value() == "0");
  m.up("nvbra");
  m.up("nvbrb");
  fs::remove(m.places.links / "nvbrb");   // its network was taken away by hand: it counts no more
  m.down("nvbra");
  CHECK(m.value() == "0");
}

TEST_CASE("userfaultfd: a crash before the change, another boot, no such setting", "[nodes]") {
  Machine m("0");
  m.up("nvbra");
  REQUIRE(write_file_atomic(m.places.setting, "0\n").ok());   // as if killed before the change
  CHECK(m.up("nvbra"));
  m.down("nvbra");
  CHECK(m.value() == "0");

  Machine later("1");
  fs::create_directories(later.places.record_dir);
  REQUIRE(write_file_atomic(later.places.record_dir / "userfaultfd.json", R"({"before":"0","bootID":"another","instances":["nvbra"]})").ok());
  later.up("nvbra");
  later.down("nvbra");
  CHECK(later.value() == "1");   // whoever switched it on since the machine was started meant it

  Machine none("0");
  fs::remove(none.places.setting);
  CHECK(hold_userfaultfd("nvbra", none.places).error().code == Code::FailedPrecondition);
}
