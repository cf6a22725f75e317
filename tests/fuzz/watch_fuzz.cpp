// fuzz: pkg_k8s
// A watch stream as a server might send it: lines, events, versions; and a list answer.
#include <cstdint>

#include "pkg/base/json.hpp"
#include "pkg/k8s/list_scanner.hpp"
#include "pkg/k8s/watch_machine.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto page = k8s::scan_list(text); page.ok())
    for (auto item : page->items) (void)parse_json(item);
  k8s::WatchMachine machine;
  (void)machine.resume(k8s::Started{});
  (void)machine.resume(k8s::PageListed{"1", ""});
  (void)machine.resume(k8s::WatchOpened{});
  k8s::LineSplitter lines(4096);
  if (!lines.feed(text).ok()) return 0;
  while (auto line = lines.next()) {
    auto event = parse_json(*line);
    if (!event.ok()) break;
    (void)machine.resume(k8s::WatchLine{&*event});
  }
  (void)machine.resume(k8s::StreamEnded{});
  return 0;
}
