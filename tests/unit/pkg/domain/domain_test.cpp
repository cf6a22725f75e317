// Golden domain XML: tests/golden/domain/NAME.json -> NAME.xml or NAME.err. NODEVIRT_REGENERATE=1 rewrites
// them (read the difference with care). Each XML is also held against libvirt's own schema.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/process.hpp"
#include "pkg/domain/domain.hpp"
#include "pkg/domain/xml.hpp"

using namespace nodevirt;
namespace fs = std::filesystem;

namespace {

const fs::path kDir = fs::path(NV_SOURCE_DIR) / "tests/golden/domain";

domain::Options options_of(const Json& j) {
  domain::Options o;
  o.kvm = bool_at(j, {"kvm"});
  o.vhost_net = bool_at(j, {"vhost_net"});
  o.host_cpu_model = string_at(j, {"host_cpu_model"});
  o.socket_dir = "/var/run/kubevirt-private/UID";
  for (auto& d : j.value("disks", Json::array()))
    o.disks.push_back({string_at(d, {"volume"}), string_at(d, {"path"}), string_at(d, {"format"}, "raw"), bool_at(d, {"block"}),
                       bool_at(d, {"readonly"}), bool_at(d, {"direct_io"}), string_at(d, {"backing_path"}), string_at(d, {"backing_format"})});
  for (auto& i : j.value("interfaces", Json::array()))
    o.interfaces.push_back({string_at(i, {"name"}), string_at(i, {"tap"}), string_at(i, {"mac"}), static_cast<unsigned>(int_at(i, {"mtu"}))});
  return o;
}

void compare(const fs::path& golden, const std::string& got) {
  if (std::getenv("NODEVIRT_REGENERATE")) {
    REQUIRE(write_file_atomic(golden, got).ok());
    return;
  }
  auto want = read_file(golden);
  REQUIRE(want.ok());
  CHECK(got == *want);
}

}  // namespace

TEST_CASE("instances become the domain XML in the golden files") {
  int used = 0;
  for (auto& entry : fs::directory_iterator(kDir)) {
    if (entry.path().extension() != ".json") continue;
    ++used;
    DYNAMIC_SECTION(entry.path().stem().string()) {
      auto text = read_file(entry.path());
      REQUIRE(text.ok());
      auto in = parse_json(*text);
      REQUIRE(in.ok());
      auto vmi = api::decode_instance((*in)["vmi"]);
      REQUIRE(vmi.ok());
      auto xml = domain::build_domain_xml(*vmi, options_of((*in)["options"]));
      fs::path golden = entry.path();
      if (!xml.ok()) {
        compare(golden.replace_extension(".err"), std::string(to_string(xml.error().code)) + ": " + xml.error().message + "\n");
        continue;
      }
      compare(golden.replace_extension(".xml"), *xml);
      auto valid = run_command({.argv = {"virt-xml-validate", golden.string(), "domain"}});
      REQUIRE(valid.ok());
      INFO(valid->out << valid->err);
      CHECK(valid->exit_code == 0);
    }
  }
  CHECK(used > 5);
}

TEST_CASE("every golden result belongs to a case") {
  for (auto& entry : fs::directory_iterator(kDir)) {
    fs::path in = entry.path();
    INFO(in);
    CHECK(fs::exists(in.replace_extension(".json")));
  }
}

TEST_CASE("the XML writer escapes whatever a user sends") {
  domain::Element e("a");
  e.attr("b", "<'\"&\n\x01").child("c").text("x > y & z");
  CHECK(e.to_string() == "<a b='&lt;&apos;&quot;&amp;&#10;'>\n  <c>x &gt; y &amp; z</c>\n</a>\n");
}
