#include "virt-handler/node/cpu_labels.hpp"

#include <algorithm>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/domain/xml.hpp"

namespace nodevirt::virt_handler {
namespace {

constexpr std::size_t kMaxLabels = 1000;
constexpr const char* kFile = "cpu-labels.json";

bool is_label_name(std::string_view name) {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 63 && plain(name.front()) && plain(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || c == '-' || c == '_' || c == '.'; });
}

class Labels {
 public:
  void add(std::string_view prefix, const std::string& name) {
    if (is_label_name(name) && out_.size() < kMaxLabels) out_.insert(std::string(prefix) + name);
  }
  std::set<std::string> take() { return std::move(out_); }

 private:
  std::set<std::string> out_;
};

const domain::Element* mode_of(const domain::Element& cpu, std::string_view name) {
  for (const domain::Element& mode : cpu.children())
    if (mode.name() == "mode" && mode.get("name") == name && mode.get("supported") == "yes") return &mode;
  return nullptr;
}

bool required(const domain::Element& feature) { return feature.name() == "feature" && feature.get("policy") == "require"; }

}  // namespace

bool is_cpu_label(std::string_view key) {
  return std::any_of(std::begin(kCpuLabelPrefixes), std::end(kCpuLabelPrefixes), [&](std::string_view prefix) { return key.starts_with(prefix); });
}

Result<std::set<std::string>> cpu_labels(std::string_view domain_capabilities, std::string_view expanded) {
  NV_TRY(domain::Element root, domain::parse_xml(domain_capabilities));
  const domain::Element* cpu = root.find("cpu");
  if (root.name() != "domainCapabilities" || !cpu) return Error(Code::InvalidArgument, "these are no domain capabilities with processors");
  Labels out;
  if (const domain::Element* custom = mode_of(*cpu, "custom"))
    for (const domain::Element& model : custom->children())
      if (model.name() == "model" && model.get("usable") == "yes") {
        out.add("cpu-model.node.kubevirt.io/", model.text());
        out.add("cpu-model-migration.node.kubevirt.io/", model.text());
      }
  if (const domain::Element* host = mode_of(*cpu, "host-model")) {
    if (const domain::Element* model = host->find("model")) {
      out.add("host-model-cpu.node.kubevirt.io/", model->text());
      out.add("cpu-model-migration.node.kubevirt.io/", model->text());
    }
    for (const domain::Element& feature : host->children())
      if (required(feature)) {
        out.add("host-model-required-features.node.kubevirt.io/", feature.get("name"));
        out.add("cpu-feature.node.kubevirt.io/", feature.get("name"));
      }
  }
  if (expanded.empty()) return out.take();
  NV_TRY(domain::Element all, domain::parse_xml(expanded));
  for (const domain::Element& feature : all.children())
    if (required(feature)) out.add("cpu-feature.node.kubevirt.io/", feature.get("name"));
  return out.take();
}

bool cpu_labels_kept(const std::filesystem::path& state_dir) {
  std::error_code ignored;
  return std::filesystem::exists(state_dir / kFile, ignored);
}

std::set<std::string> read_cpu_labels(const std::filesystem::path& state_dir) {
  std::set<std::string> out;
  auto text = read_file(state_dir / kFile, 1u << 20);
  auto json = text.ok() ? parse_json(*text) : Result<Json>(text.error());
  if (!json.ok() || !json->is_array()) return out;
  for (const Json& label : *json)
    if (label.is_string() && is_cpu_label(label.get_ref<const std::string&>()) && out.size() < kMaxLabels) out.insert(label.get<std::string>());
  return out;
}

Result<void> keep_cpu_labels(const std::filesystem::path& state_dir, const std::set<std::string>& labels) {
  return write_file_atomic(state_dir / kFile, dump_json(Json(labels)));
}

}  // namespace nodevirt::virt_handler
