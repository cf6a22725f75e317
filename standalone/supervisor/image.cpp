#include <iostream>

#include "pkg/base/file.hpp"
#include "standalone/supervisor/flags.hpp"
#include "standalone/supervisor/up.hpp"
#ifdef NODEVIRT_HAS_IMAGES
#include "standalone/images/store.hpp"
#endif

namespace nodevirt::supervisor {
namespace {

constexpr std::string_view kText =
    "  nodevirt image import [NAME=]SOURCE   take an image into the cache; NAME is what manifests call it\n"
    "  nodevirt image list                   what is there\n"
    "  nodevirt image tag NAME NEWNAME       one more name for an image\n"
    "  nodevirt image rm NAME...             remove\n\n"
    "SOURCE is a registry's name (docker://host/name:tag), an OCI layout (oci:FOLDER[:TAG]) or an archive\n"
    "(oci-archive:FILE, docker-archive:FILE).";

#ifdef NODEVIRT_HAS_IMAGES

int list(images::Store& store, bool json) {
  auto all = store.list();
  if (!all.ok()) return complain(all.error());
  if (json) {
    Json out = Json::array();
    for (const auto& i : *all)
      out.push_back({{"name", i.name}, {"digest", i.digest}, {"source", i.source}, {"bytes", i.bytes}, {"local", i.local}, {"users", i.holders.size()}});
    std::cout << out.dump(2) << "\n";
    return 0;
  }
  constexpr auto row = "{:<56} {:<20} {:>12} {:>6}  {}\n";
  std::cout << fmt::format(row, "NAME", "DIGEST", "SIZE", "USERS", "SOURCE");
  for (const auto& i : *all)
    std::cout << fmt::format(row, i.name, i.digest.substr(0, 19), fmt::format("{:.1f} MiB", static_cast<double>(i.bytes) / (1 << 20)),
                             i.holders.size(), i.source);
  return 0;
}

/// "NAME=SOURCE" or "SOURCE": the sign counts only before the first '/' of a transport ("oci:/a=b" has none).
std::pair<std::string, std::string> split(const std::string& text) {
  auto eq = text.find('=');
  if (eq == std::string::npos || text.find("oci:") == 0 || text.find("oci-archive:") == 0 || text.find("docker-archive:") == 0) return {"", text};
  return {text.substr(0, eq), text.substr(eq + 1)};
}

int act(images::Store& store, const std::vector<std::string>& words, bool json) {
  const std::string& verb = words[0];
  if ((verb == "list" || verb == "ls") && words.size() == 1) return list(store, json);
  if (verb == "import" && words.size() == 2) {
    auto [name, source] = split(words[1]);
    auto done = store.import(source, name);
    if (!done.ok()) return complain(done.error());
    std::cout << done->name << " " << done->digest << "\n";
    return 0;
  }
  if (verb == "tag" && words.size() == 3) {
    auto done = store.tag(words[1], words[2]);
    if (!done.ok()) return complain(done.error());
    std::cout << done->name << " " << done->digest << "\n";
    return 0;
  }
  if ((verb == "rm" || verb == "remove") && words.size() >= 2) {
    int code = 0;
    for (std::size_t i = 1; i < words.size(); ++i) {
      auto done = store.remove(words[i]);
      if (!done.ok()) code = complain(done.error());
      else std::cout << "removed " << words[i] << "\n";
    }
    return code;
  }
  return complain({Code::InvalidArgument, fmt::format("not a use of nodevirt image; these are:\n{}", kText)});
}

#endif

}  // namespace

int image(std::vector<std::string> args) {
  std::string data_dir(kDefaultDataDir), output;
  std::vector<Flag> flags{string_flag("data-dir", 0, "DIR", "which instance (default /var/lib/nodevirt)", data_dir),
                          string_flag("output", 'o', "FORMAT", "json: for programs (list)", output)};
  auto rest = parse_flags(args, flags);
  if ((!rest.ok() && rest.error().reason == "Help") || (rest.ok() && rest->empty())) {
    std::cout << usage("nodevirt image COMMAND [flags]", std::string(kText), flags);
    return rest.ok() ? 2 : 0;
  }
  if (!rest.ok()) return complain(rest.error());
#ifdef NODEVIRT_HAS_IMAGES
  if (rest->front() != "list" && rest->front() != "ls")
    if (auto root = require_root("nodevirt image " + rest->front()); !root.ok()) return complain(root.error());
  const DataDir data = data_dir_at(data_dir);
  images::Store store(images::Store::Options{.dir = data.root / "images", .fetch = {.registries = data.root / "registries"}});
  if (rest->front() == "import")
    if (auto made = make_dirs(data.root / "images", 0755); !made.ok()) return complain(made.error());
  return act(store, *rest, output == "json");
#else
  return complain({Code::Unimplemented, "this binary was built without the image cache"});
#endif
}

}  // namespace nodevirt::supervisor
