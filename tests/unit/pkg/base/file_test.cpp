#include "pkg/base/file.hpp"
#include "pkg/base/id.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/process.hpp"

#include <catch2/catch.hpp>

using namespace nodevirt;

TEST_CASE("an atomic write leaves the whole new content and nothing else") {
  TempDir dir;
  REQUIRE(write_file_atomic(dir.path() / "a", "one", 0600).ok());
  REQUIRE(write_file_atomic(dir.path() / "a", "two", 0600).ok());
  CHECK(*read_file(dir.path() / "a") == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
  auto big = read_file(dir.path() / "a", 2);
  REQUIRE_FALSE(big.ok());
  CHECK(big.error().code == Code::InvalidArgument);
  CHECK(read_file(dir.path() / "none").error().code == Code::NotFound);
}

TEST_CASE("commands run without a shell, with input, output, status and a time limit") {
  auto cat = run_command({.argv = {"cat"}, .input = "a $HOME `x`"});
  REQUIRE(cat.ok());
  CHECK(cat->out == "a $HOME `x`");
  auto failing = run_command({.argv = {"sh", "-c", "echo no >&2; exit 3"}});
  REQUIRE(failing.ok());
  CHECK(failing->exit_code == 3);
  CHECK(check_output({.argv = {"sh", "-c", "echo no >&2; exit 3"}}).error().message == "sh exited with 3: no");
  CHECK(run_command({.argv = {"/no/such/program"}}).error().code == Code::NotFound);
  auto slow = run_command({.argv = {"sleep", "60"}, .timeout = std::chrono::milliseconds(20)});
  CHECK(slow.error().code == Code::DeadlineExceeded);
  auto silent = run_command({.argv = {"sh", "-c", "exec sleep 60 >&- 2>&-"}, .timeout = std::chrono::milliseconds(200)});
  REQUIRE_FALSE(silent.ok());
  CHECK(silent.error().code == Code::DeadlineExceeded);
}

TEST_CASE("name-based UUIDs are stable") {
  // RFC 4122's DNS namespace with "www.example.com".
  CHECK(uuid_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com") == "2ed6657d-e927-568b-95e1-2665a8aea6a2");
  CHECK(new_uuid() != new_uuid());
}

TEST_CASE("hostile JSON is an error, never a crash") {
  CHECK_FALSE(parse_json(std::string(100000, '[')).ok());
  CHECK_FALSE(parse_json("{\"a\":\"\xff\"}").ok());
  CHECK_FALSE(parse_json("{} x").ok());
  CHECK(int_at(*parse_json("{\"a\":{\"b\":3}}"), {"a", "b"}) == 3);
  CHECK(int_at(*parse_json("{\"a\":3}"), {"a", "b"}, 7) == 7);
}
