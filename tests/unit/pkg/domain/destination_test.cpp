// Golden migration XML: tests/golden/destination/NAME.live.xml (libvirt's migratable definition) + NAME.json ->
// NAME.xml. NODEVIRT_REGENERATE=1 rewrites the results.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/process.hpp"
#include "pkg/domain/destination.hpp"
#include "pkg/domain/xml.hpp"

using namespace nodevirt;
namespace fs = std::filesystem;

namespace {
const fs::path kDir = fs::path(NV_SOURCE_DIR) / "tests/golden/destination";
}

TEST_CASE("a running domain's definition becomes the target's in the golden files") {
  int used = 0;
  for (auto& entry : fs::directory_iterator(kDir)) {
    if (entry.path().extension() != ".json") continue;
    ++used;
    fs::path stem = entry.path().parent_path() / entry.path().stem();
    DYNAMIC_SECTION(stem.filename().string()) {
      auto live = read_file(stem.string() + ".live.xml");
      auto text = read_file(entry.path());
      REQUIRE((live.ok() && text.ok()));
      Json j = *parse_json(*text);
      domain::Destination d;
      d.source_socket_dir = string_at(j, {"sourceSocketDir"});
      d.socket_dir = string_at(j, {"socketDir"});
      d.compression = string_at(j, {"compression"});
      for (auto& disk : j.value("disks", Json::array())) {
        domain::DiskSource s{string_at(disk, {"volume"}), string_at(disk, {"path"}), string_at(disk, {"format"}), bool_at(disk, {"block"})};
        s.backing_path = string_at(disk, {"backing"});
        s.backing_format = string_at(disk, {"backingFormat"});
        s.slice = static_cast<std::uint64_t>(int_at(disk, {"slice"}));
        d.disks.push_back(std::move(s));
      }
      Json taps = j.value("taps", Json::object());
      for (auto& [name, tap] : taps.items()) d.taps[name] = tap.get<std::string>();
      auto xml = domain::destination_xml(*live, d);
      REQUIRE(xml.ok());
      fs::path golden = stem.string() + ".xml";
      if (std::getenv("NODEVIRT_REGENERATE")) REQUIRE(write_file_atomic(golden, *xml).ok());
      auto want = read_file(golden);
      REQUIRE(want.ok());
      CHECK(*xml == *want);
      auto valid = run_command({.argv = {"virt-xml-validate", golden.string(), "domain"}});
      REQUIRE(valid.ok());
      INFO(valid->out << valid->err);
      CHECK(valid->exit_code == 0);
      // With nothing different it is the definition itself.
      domain::Destination nothing;
      if (live->find("migration.multifd-compression=zlib") != std::string::npos) nothing.compression = "zlib";
      auto same = domain::destination_xml(*live, nothing);
      REQUIRE(same.ok());
      CHECK(*same == domain::parse_xml(*live)->to_string());
    }
  }
  CHECK(used > 1);
}

TEST_CASE("disks are found by their volumes") {
  auto live = read_file(kDir / "overlay.live.xml");
  REQUIRE(live.ok());
  CHECK(domain::disk_targets(*live)->at("root") == "vda");
  CHECK(domain::disk_backing(*live)->at("root") == "/run/images/demo.qcow2");
  CHECK(domain::disk_backing(*live)->count("seed") == 0);
}

TEST_CASE("XML is read as libvirt writes it, and nothing more") {
  auto e = domain::parse_xml("<?xml version='1.0'?>\n<!-- x --><a b='1 &lt; &#50;' c=\"&quot;\">\n <d/>\n <e>t &amp; u&#xe4;</e>\n</a>\n");
  REQUIRE(e.ok());
  CHECK(e->get("b") == "1 < 2");
  CHECK(e->get("c") == "\"");
  CHECK(e->find("e")->text() == "t & u\xc3\xa4");
  CHECK(e->to_string() == "<a b='1 &lt; 2' c='&quot;'>\n  <d/>\n  <e>t &amp; u\xc3\xa4</e>\n</a>\n");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  for (std::string bad : {"", "<a", "<a>", "<a></b>", "<a b=1/>", "<a b='1/>", "<a>&x;</a>", "<a>&#0;</a>", "<a>&#xffffffff;</a>", "<a/><b/>", "<!DOCTYPE a><a/>",
                          "<a b='<'/>", "</a>", "<a></a", "<a><!-- </a>", deep.c_str()}) {
    INFO(bad);
    CHECK(domain::parse_xml(bad).error().code == Code::InvalidArgument);
  }
  CHECK(domain::parse_xml("<a>" + std::string(100, ' ') + "</a>", 50).error().code == Code::InvalidArgument);
}
