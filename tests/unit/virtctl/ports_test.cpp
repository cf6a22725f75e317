// How people name ports, guests and files for port-forward, ssh and scp; what may have been meant by a wrong word.
#include <catch2/catch.hpp>

#include "virtctl/commands/ports.hpp"
#include "virtctl/suggest.hpp"

using namespace nodevirt;
using namespace nodevirt::virtctl;

TEST_CASE("ports are LOCAL[:TARGET]", "[virtctl]") {
  struct Case { const char* text; bool ok; int local, target; };
  for (auto& c : std::vector<Case>{{"8080", true, 8080, 8080}, {"8080:80", true, 8080, 80}, {"tcp/1:2", true, 1, 2}, {"0:22", true, 0, 22},
                                   {"0", false, 0, 0}, {"1:0", false, 0, 0}, {"udp/53", false, 0, 0}, {"65536", false, 0, 0}, {"", false, 0, 0},
                                   {"1:", false, 0, 0}, {":1", false, 0, 0}, {"1:2:3", false, 0, 0}, {"-1", false, 0, 0}, {"22x", false, 0, 0}}) {
    DYNAMIC_SECTION(c.text) {
      auto pair = parse_ports(c.text);
      REQUIRE(pair.ok() == c.ok);
      if (c.ok) CHECK((pair->local == c.local && pair->target == c.target));
    }
  }
}

TEST_CASE("a place is TYPE/NAME[/NAMESPACE]", "[virtctl]") {
  struct Case { const char* text; bool ok; Kind kind; const char* name; const char* ns; };
  constexpr Kind kVm = Kind::VirtualMachine, kVmi = Kind::VirtualMachineInstance;
  for (auto& c : std::vector<Case>{{"a", true, kVmi, "a", ""}, {"vm/a", true, kVm, "a", ""}, {"vmi/a/far", true, kVmi, "a", "far"},
                                   {"vm/a/", false, kVm, "", ""}, {"vm/", false, kVm, "", ""}, {"pod/a", false, kVm, "", ""},
                                   {"vm/a/b/c", false, kVm, "", ""}, {"", false, kVm, "", ""}}) {
    DYNAMIC_SECTION(c.text) {
      auto place = parse_place(c.text);
      REQUIRE(place.ok() == c.ok);
      if (c.ok) CHECK((place->kind == c.kind && place->name == c.name && place->ns == c.ns));
    }
  }
}

TEST_CASE("a remote end is [USER@]PLACE[:PATH]", "[virtctl]") {
  struct Case { const char* text; bool local; const char* user; const char* place; const char* path; };
  for (auto& c : std::vector<Case>{{"vmi/a", false, "", "vmi/a", ""}, {"me@vm/a/ns", false, "me", "vm/a/ns", ""}, {"me@vm/a:/etc/x", false, "me", "vm/a", "/etc/x"},
                                   {"vm/a:", false, "", "vm/a", ""}, {"/etc/hosts", true, "", "/etc/hosts", ""}, {"./x", true, "", "./x", ""}, {"file", true, "", "file", ""},
                                   {"vm/a:me@x", false, "", "vm/a", "me@x"}}) {
    DYNAMIC_SECTION(c.text) {
      auto remote = parse_remote(c.text);
      CHECK(remote.local == c.local);
      CHECK(remote.user == c.user);
      CHECK(remote.place == c.place);
      CHECK(remote.path == c.path);
    }
  }
}

TEST_CASE("close words are offered, far ones are not", "[virtctl]") {
  std::vector<std::string> known = {"start", "stop", "restart", "console", "vnc"};
  using Words = std::vector<std::string>;
  CHECK(close_words("strat", known) == Words{"start"});
  CHECK(close_words("con", known) == Words{"console"});
  CHECK(close_words("sotp", known) == Words{"stop"});
  CHECK(close_words("bogus", known).empty());
  CHECK(close_words("", known).empty());
  CHECK(close_words(std::string(100000, 's'), known).empty());
}
