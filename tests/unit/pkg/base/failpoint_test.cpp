// A folder arms failpoints while a program runs: each file fires once.
#include <catch2/catch.hpp>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/file.hpp"

using namespace nodevirt;

TEST_CASE("a failpoint fires once for its file") {
  TempDir folder;
  failpoint::use_folder(folder.path().string());
  CHECK_FALSE(failpoint::hit("a"));
  REQUIRE(write_file_atomic(folder.path() / "a", "error\n").ok());
  CHECK_FALSE(failpoint::hit("b"));
  CHECK(failpoint::hit("a"));
  CHECK_FALSE(failpoint::hit("a"));
  CHECK(std::filesystem::exists(folder.path() / "a.fired"));
  failpoint::use_folder("");
}
