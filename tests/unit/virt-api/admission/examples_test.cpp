// The manifests that we give to users pass our own admission, before and after the defaults.
#include <catch2/catch.hpp>

#include <filesystem>

#include <yaml-cpp/yaml.h>

#include "virt-api/admission/defaults.hpp"
#include "virt-api/admission/validate.hpp"
#include "virt-api/conversion/conversion.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

namespace {

Json to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    Json out = Json::object();
    for (const auto& entry : node) out[entry.first.as<std::string>()] = to_json(entry.second);
    return out;
  }
  if (node.IsSequence()) {
    Json out = Json::array();
    for (const auto& entry : node) out.push_back(to_json(entry));
    return out;
  }
  if (node.IsNull()) return nullptr;
  auto text = node.as<std::string>();
  if (node.Tag() == "!" || text.empty()) return text;  // quoted
  if (text == "true" || text == "false") return text == "true";
  if (text.find_first_not_of("-0123456789") == std::string::npos) return std::stoll(text);
  return text;
}

}  // namespace

TEST_CASE("the examples are sound", "[virt-api]") {
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(NV_SOURCE_DIR "/manifests/examples")) {
    if (entry.path().extension() != ".yaml") continue;
    for (const auto& document : YAML::LoadAllFromFile(entry.path().string())) {
      auto object = to_json(document);
      auto kind = string_at(object, {"kind"});
      if (kind != "VirtualMachine" && kind != "VirtualMachineInstance") continue;
      ++seen;
      DYNAMIC_SECTION(entry.path().filename().string() << " " << string_at(object, {"metadata", "name"})) {
        auto v1 = convert_object(object, "kubevirt.io/v1");
        REQUIRE(v1.ok());
        bool vm = kind == "VirtualMachine";
        auto check = [&](const Json& o) {
          auto causes = vm ? validate_vm(o) : validate_vmi(o);
          for (const auto& c : causes) UNSCOPED_INFO(c.field << ": " << c.message);
          CHECK(causes.empty());
        };
        check(*v1);
        check(vm ? with_vm_defaults(*v1) : with_vmi_defaults(*v1));
      }
    }
  }
  CHECK(seen >= 4);
}
