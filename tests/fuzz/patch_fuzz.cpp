// fuzz: pkg_k8s
// A document and a patch, separated by a zero byte: JSON patch, merge patch; and selectors.
#include <cstdint>

#include "pkg/base/json.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "pkg/k8s/merge_patch.hpp"
#include "pkg/k8s/selector.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view first = text.substr(0, text.find('\0'));
  std::string_view second = first.size() < text.size() ? text.substr(first.size() + 1) : "";
  std::map<std::string, std::string> labels = {{"app", "a"}, {"tier", "b"}};
  if (auto s = k8s::LabelSelector::parse(first); s.ok()) (void)s->matches(labels);
  (void)k8s::FieldSelector::parse(first);
  auto document = parse_json(first), patch = parse_json(second);
  if (!document.ok() || !patch.ok()) return 0;
  (void)k8s::apply_json_patch(*document, *patch);
  (void)k8s::apply_merge_patch(*document, *patch);
  if (auto s = k8s::LabelSelector::from_json(*document); s.ok()) (void)s->matches(labels);
  return 0;
}
