#include "standalone/supervisor/instance.hpp"

#include <charconv>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::supervisor {

Result<ListenAddress> parse_listen(const std::string& text) {
  ListenAddress a;
  auto colon = text.rfind(':');
  auto bad = [&] { return Error{Code::InvalidArgument, fmt::format("\"{}\" is not an address such as 127.0.0.1:6443", text)}; };
  if (colon == std::string::npos) return bad();
  a.host = colon == 0 ? "0.0.0.0" : text.substr(0, colon);
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data() + colon + 1, end, a.port);
  if (error != std::errc{} || stop != end || a.port == 0) return bad();
  if (a.host == "localhost") a.host = "127.0.0.1";
  if (!nodes::parse_address(a.host).ok()) return bad();
  return a;
}

Result<Instance> decode_instance(const std::string& text, const std::string& path) {
  auto damaged = [&](std::string_view what) {
    return Error{Code::FailedPrecondition, fmt::format("{} is damaged ({}); restore it from a copy, or give everything up with `nodevirt reset`", path, what)};
  };
  auto parsed = parse_json(text);
  if (!parsed.ok()) return damaged(parsed.error().message);
  const Json& j = *parsed;
  auto format = int_at(j, {"format"});
  if (format > Instance::kFormat)
    return Error{Code::FailedPrecondition,
                 fmt::format("{} was written by a later version of nodevirt ({}); this is {}: install that version or a later one", path,
                             string_at(j, {"version"}, "unknown"), kVersion)};
  if (format < 1) return damaged("no format number");
  Instance i;
  i.listen = string_at(j, {"listen"});
  i.nodes = static_cast<int>(int_at(j, {"nodes"}));
  i.most_nodes = static_cast<int>(int_at(j, {"mostNodes"}));
  i.hash = string_at(j, {"hash"});
  i.named = bool_at(j, {"named"});
  i.userfaultfd = bool_at(j, {"allowUserfaultfd"});
  if (i.nodes < 1 || i.nodes > nodes::kMaxNodes || i.most_nodes < i.nodes || i.most_nodes > nodes::kMaxNodes) return damaged("number of nodes");
  if (i.hash.size() != 6 || i.hash.find_first_not_of("0123456789abcdef") != std::string::npos) return damaged("hash");
  if (auto l = parse_listen(i.listen); !l.ok()) return damaged("listen");
  for (auto [key, into] : {std::pair{"nodeCIDR", &i.ranges.nodes}, {"podCIDR", &i.ranges.pods}, {"serviceCIDR", &i.ranges.services}}) {
    auto c = nodes::Cidr::parse(string_at(j, {key}));
    if (!c.ok()) return damaged(key);
    *into = *c;
  }
  return i;
}

std::string encode_instance(const Instance& i) {
  Json j{{"format", Instance::kFormat}, {"version", kVersion}, {"listen", i.listen}, {"nodes", i.nodes}, {"mostNodes", i.most_nodes},
         {"hash", i.hash}, {"named", i.named}, {"allowUserfaultfd", i.userfaultfd}, {"nodeCIDR", i.ranges.nodes.to_string()}, {"podCIDR", i.ranges.pods.to_string()},
         {"serviceCIDR", i.ranges.services.to_string()}};
  return j.dump(2) + "\n";
}

Result<Instance> load_instance(const DataDir& data) {
  NV_TRY(std::string text, read_file(data.instance(), 64 << 10));
  return decode_instance(text, data.instance().string());
}

Result<void> save_instance(const DataDir& data, const Instance& instance) {
  std::string text = encode_instance(instance);
  if (auto old = read_file(data.instance(), 64 << 10); old.ok() && *old == text) return {};
  return write_file_atomic(data.instance(), text, 0644);
}

}  // namespace nodevirt::supervisor
