// What Tab offers without asking a server.
#include <catch2/catch.hpp>
#include <CLI/CLI.hpp>

#include "virtctl/commands/commands.hpp"
#include "virtctl/commands/completion.hpp"

using namespace nodevirt;
using namespace nodevirt::virtctl;

TEST_CASE("offers follow the parser", "[virtctl]") {
  CLI::App app{"test"};
  Globals globals;
  int code = 0;
  app.add_option("-n,--namespace", globals.ns);
  app.add_option("--kubeconfig", globals.kubeconfig);
  add_lifecycle(app, globals, code);
  add_vnc(app, globals, code);
  add_expose(app, globals, code);
  add_completion(app);
  using Words = std::vector<std::string>;
  auto offers = [&app](Words words, const std::string& current) { return local_offers(cursor_after(app, words), current); };
  CHECK(offers({}, "sta") == Words{"start"});
  CHECK(offers({"-n", "start"}, "un") == Words{"unpause"});  // a flag's value is no verb
  CHECK(offers({"start"}, "--pa") == Words{"--paused"});
  CHECK(offers({"start"}, "--name") == Words{"--namespace"});
  CHECK(offers({"start"}, "") == Words{"vm", "vmi"});
  CHECK(offers({"start", "vm"}, "").empty());
  CHECK(offers({"vnc"}, "sc") == Words{"screenshot"});
  CHECK(offers({"vnc", "--vnc-type"}, "ti") == Words{"tiger"});
  CHECK(offers({"completion"}, "") == Words{"bash", "zsh", "fish"});
  CHECK(offers({"expose", "x", "--protocol"}, "U") == Words{"UDP"});
  CHECK(offers({"--unknown", "bogus"}, "x").empty());

  Cursor cursor = cursor_after(app, {"--namespace=far", "start", "--kubeconfig", "/k", "vm"});
  CHECK(cursor.ns == "far");
  CHECK(cursor.kubeconfig == "/k");
  CHECK(cursor.positionals == Words{"vm"});
  CHECK(cursor_after(app, {"start", "-n"}).value_of != nullptr);
}
