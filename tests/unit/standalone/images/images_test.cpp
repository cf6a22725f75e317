#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "pkg/base/file.hpp"
#include "pkg/base/process.hpp"
#include "standalone/images/registry_access.hpp"
#include "standalone/images/store.hpp"

using namespace nodevirt;
using namespace nodevirt::images;
namespace fs = std::filesystem;

namespace {

struct Member {
  std::string name;
  char type = '0';          // '0' file, '5' folder, '2' symlink, '1' hard link, '3' device
  std::string content, link;
  int mode = 0644;
};

std::string tar(const std::vector<Member>& members) {
  std::string out;
  for (const auto& m : members) {
    char h[512] = {};
    std::strncpy(h, m.name.c_str(), 100);
    std::snprintf(h + 100, 8, "%07o", m.mode);
    std::snprintf(h + 108, 8, "%07o", 0);
    std::snprintf(h + 116, 8, "%07o", 0);
    std::snprintf(h + 124, 12, "%011zo", m.content.size());
    std::snprintf(h + 136, 12, "%011o", 0);
    std::memset(h + 148, ' ', 8);
    h[156] = m.type;
    std::strncpy(h + 157, m.link.c_str(), 100);
    std::memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (unsigned char c : h) sum += c;
    std::snprintf(h + 148, 8, "%06o", sum);
    out.append(h, 512);
    out += m.content;
    out.append((512 - m.content.size() % 512) % 512, '\0');
  }
  out.append(1024, '\0');
  return out;
}

void put(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

std::string tree(const fs::path& root) {
  std::vector<std::string> lines;
  for (const auto& e : fs::recursive_directory_iterator(root)) {
    const auto rel = e.path().lexically_relative(root).string();
    if (fs::is_directory(e.symlink_status())) continue;
    lines.push_back(rel + "=" + nodevirt::read_file(e.path()).value());
  }
  std::sort(lines.begin(), lines.end());
  std::string out;
  for (const auto& l : lines) out += l + ";";
  return out;
}

/// An OCI layout with one layer.
void layout(const fs::path& dir, const std::vector<Member>& members) {
  put(dir.string() + ".tar", tar(members));
  const auto run = [](std::vector<std::string> argv) {
    Command c;
    c.argv = std::move(argv);
    auto out = check_output(c);
    INFO((out.ok() ? "" : out.error().message));
    REQUIRE(out.ok());
  };
  run({"umoci", "init", "--layout", dir.string()});
  run({"umoci", "new", "--image", dir.string() + ":latest"});
  run({"umoci", "raw", "add-layer", "--image", dir.string() + ":latest", dir.string() + ".tar"});
}

}  // namespace

TEST_CASE("image names") {
  struct Case {
    std::string in, key, transport;
  };
  const Case cases[] = {
      {"alpine", "docker.io/library/alpine:latest", "docker://docker.io/library/alpine:latest"},
      {"kubevirt/cirros-container-disk-demo:latest", "docker.io/kubevirt/cirros-container-disk-demo:latest", "docker://docker.io/kubevirt/cirros-container-disk-demo:latest"},
      {"docker://quay.io/a/b:v1.2", "quay.io/a/b:v1.2", "docker://quay.io/a/b:v1.2"},
      {"localhost:5000/x", "localhost:5000/x:latest", "docker://localhost:5000/x:latest"},
      {"index.docker.io/library/x", "docker.io/library/x:latest", "docker://docker.io/library/x:latest"},
      {"oci:/var/x/layout", "oci:/var/x/layout", "oci:/var/x/layout"},
      {"oci:/var/x/layout:tag", "oci:/var/x/layout:tag", "oci:/var/x/layout:tag"},
      {"oci-archive:/a.tar", "oci-archive:/a.tar", "oci-archive:/a.tar"},
      {"docker-archive:/a.tar:name:tag", "docker-archive:/a.tar:name:tag", "docker-archive:/a.tar:name:tag"},
      {"x@sha256:" + std::string(64, 'a'), "docker.io/library/x@sha256:" + std::string(64, 'a'), "docker://docker.io/library/x@sha256:" + std::string(64, 'a')},
      {"x:tag@sha256:" + std::string(64, 'a'), "docker.io/library/x@sha256:" + std::string(64, 'a'), "docker://docker.io/library/x@sha256:" + std::string(64, 'a')},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.in) {
      auto r = parse_reference(c.in);
      REQUIRE(r.ok());
      CHECK(r->key() == c.key);
      CHECK(r->transport_name() == c.transport);
    }
  for (const std::string bad : {"", "UPPER/case", "a b", "x:", "x:ta g", "-x", "x@sha256:12", "dir:/x", "ostree://x", "a//b", "../x", "oci:", "--flag", "x\n", "a:b:c/d?"})
    DYNAMIC_SECTION("refused: " << bad) {
      auto r = parse_reference(bad);
      REQUIRE_FALSE(r.ok());
      CHECK((r.error().reason == "InvalidImageName"));
    }
}

TEST_CASE("layers: only what lies under /disk comes out, and nothing gets out of it") {
  struct Case {
    std::string name;
    std::vector<std::vector<Member>> layers;
    std::string want;      // "path=content;..." or "error: text"
  };
  const Case cases[] = {
      {"plain", {{{"disk", '5'}, {"disk/a.img", '0', "A"}, {"etc/passwd", '0', "x"}}}, "disk/a.img=A;"},
      {"dot slash", {{{"./disk/a.img", '0', "A"}}}, "disk/a.img=A;"},
      {"absolute", {{{"/disk/a.img", '0', "A"}}}, "disk/a.img=A;"},
      {"parents are made", {{{"disk/x/y/a", '0', "A"}}}, "disk/x/y/a=A;"},
      {"dot dot", {{{"disk/../../evil", '0', "A"}}}, "error: \"..\""},
      {"dot dot outside of disk", {{{"../disk/evil", '0', "A"}}}, "error: \"..\""},
      {"symlinks are not taken", {{{"disk/l", '2', "", "/etc"}, {"disk/l/passwd", '0', "A"}}}, "disk/l/passwd=A;"},
      {"disk as a symlink", {{{"disk", '2', "", "/tmp"}, {"disk/a", '0', "A"}}}, "disk/a=A;"},
      {"symlink over a file of a lower layer", {{{"disk/a", '0', "A"}}, {{"disk/a", '2', "", "/etc/shadow"}}}, ""},
      {"devices are not taken", {{{"disk/dev", '3'}, {"disk/a", '0', "A"}}}, "disk/a=A;"},
      {"hard link inside", {{{"disk/a", '0', "A"}, {"disk/b", '1', "", "disk/a"}}}, "disk/a=A;disk/b=A;"},
      {"hard link outside", {{{"etc/passwd", '0', "x"}, {"disk/b", '1', "", "etc/passwd"}}}, ""},
      {"hard link up", {{{"disk/b", '1', "", "../../etc/passwd"}}}, "error: \"..\""},
      {"an upper layer replaces", {{{"disk/a", '0', "A"}}, {{"disk/a", '0', "B"}}}, "disk/a=B;"},
      {"a file replaces a folder", {{{"disk/a/b", '0', "A"}}, {{"disk/a", '0', "B"}}}, "disk/a=B;"},
      {"a folder replaces a file", {{{"disk/a", '0', "A"}}, {{"disk/a", '5'}, {"disk/a/b", '0', "B"}}}, "disk/a/b=B;"},
      {"whiteout", {{{"disk/a", '0', "A"}, {"disk/b", '0', "B"}}, {{"disk/.wh.a", '0'}}}, "disk/b=B;"},
      {"whiteout of the folder", {{{"disk/a", '0', "A"}}, {{".wh.disk", '0'}, {"disk/c", '0', "C"}}}, "disk/c=C;"},
      {"opaque folder keeps its own layer", {{{"disk/a", '0', "A"}}, {{"disk/b", '0', "B"}, {"disk/.wh..wh..opq", '0'}}}, "disk/b=B;"},
      {"opaque root", {{{"disk/a", '0', "A"}}, {{".wh..wh..opq", '0'}}}, ""},
      {"whiteout of nothing", {{{"disk/.wh.", '0'}}}, "error: names no file"},
      {"whiteout of dot dot", {{{"disk/x/.wh...", '0'}}}, "error: names no file"},
      {"deep", {{{"disk/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", '0', "A"}}}, "error: too deep"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      TempDir dir;
      const auto root = dir.path() / "root";
      fs::create_directory(root);
      DiskExtractor extractor(root, Limits{.max_depth = 12});
      Result<void> result;
      for (std::size_t i = 0; i < c.layers.size() && result.ok(); ++i) {
        const auto blob = dir.path() / ("layer" + std::to_string(i));
        put(blob, tar(c.layers[i]));
        result = extractor.apply(blob, "");
      }
      const std::string got = result.ok() ? tree(root) : "error: " + result.error().message;
      if (c.want.starts_with("error: ")) CHECK(got.find(c.want.substr(7)) != std::string::npos);
      else CHECK(got == c.want);
      CHECK_FALSE(fs::exists(dir.path() / "evil"));
      for (const auto& e : fs::recursive_directory_iterator(root)) CHECK_FALSE(e.is_symlink());
    }
}

TEST_CASE("layers: bounds, holes and digests") {
  TempDir dir;
  const auto root = dir.path() / "root", blob = dir.path() / "blob";
  fs::create_directory(root);
  SECTION("set-id bits do not come along") {
    put(blob, tar({{"disk/a", '0', "A", "", 06777}}));
    REQUIRE(DiskExtractor(root, {}).apply(blob, "").ok());
    struct stat st {};
    REQUIRE(::stat((root / "disk/a").c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 0444);
  }
  SECTION("zeros become holes, and the size stays") {
    std::string content(1 << 20, '\0');
    content += "end";
    put(blob, tar({{"disk/a", '0', content}}));
    REQUIRE(DiskExtractor(root, {}).apply(blob, "").ok());
    struct stat st {};
    REQUIRE(::stat((root / "disk/a").c_str(), &st) == 0);
    CHECK(st.st_size == (1 << 20) + 3);
    CHECK(st.st_blocks * 512 < 1 << 18);
    CHECK(nodevirt::read_file(root / "disk/a").value() == content);
  }
  SECTION("too large") {
    put(blob, tar({{"disk/a", '0', std::string(5000, 'x')}}));
    auto r = DiskExtractor(root, Limits{.max_bytes = 4096}).apply(blob, "");
    REQUIRE_FALSE(r.ok());
    CHECK(r.error().message.find("larger than the limit") != std::string::npos);
  }
  SECTION("too many") {
    put(blob, tar({{"a"}, {"b"}, {"c"}}));
    CHECK_FALSE(DiskExtractor(root, Limits{.max_entries = 2}).apply(blob, "").ok());
  }
  SECTION("a wrong digest") {
    put(blob, tar({{"disk/a", '0', "A"}}));
    auto r = DiskExtractor(root, {}).apply(blob, "sha256:" + std::string(64, '0'));
    REQUIRE_FALSE(r.ok());
    CHECK(r.error().code == Code::DataLoss);
  }
  SECTION("without the zeros at its end") {
    for (const std::size_t size : {1u, 511u, 512u, 513u, 1000u, 70000u}) {
      const std::string content(size, 'x');
      put(blob, tar({{"disk/a", '0', content}}).substr(0, 512 + size));
      fs::remove_all(root);
      fs::create_directory(root);
      auto r = DiskExtractor(root, {}).apply(blob, "");
      INFO(size << ": " << (r.ok() ? "" : r.error().message));
      REQUIRE(r.ok());
      CHECK(nodevirt::read_file(root / "disk/a").value() == content);
      // A single byte less is a file that ends early, also where the zeros made up would reach.
      put(blob, tar({{"disk/a", '0', content}}).substr(0, 512 + size - 1));
      fs::remove_all(root);
      fs::create_directory(root);
      CHECK_FALSE(DiskExtractor(root, {}).apply(blob, "").ok());
    }
    put(blob, tar({{"disk/a", '0', "A"}, {"disk/b", '0', "B"}}).substr(0, 1024 + 300));   // in the middle of a header
    CHECK_FALSE(DiskExtractor(root, {}).apply(blob, "").ok());
    put(blob, "");
    CHECK(DiskExtractor(root, {}).apply(blob, "").ok());
  }
  SECTION("a stream that is too large") {
    put(blob, tar({{"other/a", '0', std::string(300000, 'x')}}));
    auto r = DiskExtractor(root, Limits{.max_stream = 100000}).apply(blob, "");
    REQUIRE_FALSE(r.ok());
    CHECK(r.error().message.find("layer of it is too large") != std::string::npos);
  }
  SECTION("no archive at all, and one that ends early") {
    put(blob, std::string(4096, 'x'));
    CHECK_FALSE(DiskExtractor(root, {}).apply(blob, "").ok());
    put(blob, tar({{"disk/a", '0', std::string(8000, 'x')}}).substr(0, 2000));
    CHECK_FALSE(DiskExtractor(root, {}).apply(blob, "").ok());
  }
}

TEST_CASE("what skopeo says, said for a person") {
  const auto ref = parse_reference("quay.io/x/y").value();
  struct Case {
    std::string err;
    Code code;
    std::string want;
  };
  const Case cases[] = {
      {"time=\"t\" level=fatal msg=\"initializing source docker://x: reading manifest latest in x: manifest unknown\"", Code::NotFound, "does not exist"},
      {"level=fatal msg=\"pinging container registry quay.io: Get \\\"https://quay.io/v2/\\\": dial tcp: lookup quay.io: no such host\"", Code::Unavailable, "no registry reachable"},
      {"dial tcp 127.0.0.1:5000: connect: connection refused", Code::Unavailable, "no registry reachable"},
      {"unauthorized: authentication required", Code::PermissionDenied, "wants a login for it: give it an imagePullSecret, or say `skopeo login quay.io`"},
      {"x509: certificate signed by unknown authority", Code::Unavailable, "/etc/containers/certs.d/quay.io/ca.crt"},
      {"http: server gave HTTP response to HTTPS client", Code::Unavailable, "insecure = true"},
      {"requested access to the resource is denied", Code::NotFound, "does not exist, or the registry wants a login"},
      {"write /x: no space left on device", Code::ResourceExhausted, "no space left"},
      {"open /nowhere/index.json: no such file or directory", Code::NotFound, "no such file"},
      {"Digest did not match, expected a, got b", Code::DataLoss, "corrupt"},
      {"something new", Code::Unknown, "something new"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.want << ": " << c.err) {
      const auto e = explain_fetch_error(ref, c.err);
      CHECK((e.code == c.code));
      CHECK(e.message.find(c.want) != std::string::npos);
      CHECK(e.reason == "ErrImagePull");
    }
}

TEST_CASE("how a registry is reached") {
  TempDir dir;
  const auto flags = [&](const std::string& image, const fs::path& folder, const std::string& logins = "") {
    auto access = registry_access(parse_reference(image).value(), folder, logins);
    return fmt::format("{}{}", fmt::join(access.copy_flags(), " "), access.pod_login ? " login" : "");
  };
  CHECK(flags("quay.io/a/b", "") == "");
  CHECK(flags("localhost:5000/a/b", "") == "--src-tls-verify=false");   // nobody is in between
  CHECK(flags("127.0.0.1:5000/a/b", "") == "--src-tls-verify=false");
  CHECK(flags("127.0.0.1.example.org/a/b", "") == "");
  CHECK(flags("localhost.example.org/a/b", "") == "");
  CHECK(flags("oci:/x", dir.path()) == "");

  const auto folder = dir.path() / "registries";
  fs::create_directories(folder / "certs.d/localhost:5000");
  CHECK(flags("localhost:5000/a", folder) == "--src-tls-verify=false");   // an empty folder asks for nothing
  put(folder / "certs.d/localhost:5000/ca.crt", "x");
  put(folder / "auth.json", "{}");
  put(folder / "registries.conf", "");
  CHECK(flags("localhost:5000/a", folder) == fmt::format("--src-authfile={0}/auth.json --src-cert-dir={0}/certs.d/localhost:5000", folder.string()));
  CHECK(registry_access(parse_reference("quay.io/a").value(), folder, "").env.at("CONTAINERS_REGISTRIES_CONF") == (folder / "registries.conf").string());
  // A pod's own login goes first, where it has one for the registry.
  CHECK(flags("quay.io/a", folder, R"({"auths":{"quay.io":{"auth":"x"}}})") == " login");
  CHECK(flags("quay.io/a", folder, R"({"auths":{"other.io":{"auth":"x"}}})") == fmt::format("--src-authfile={}/auth.json", folder.string()));

  struct Case { std::string logins, host; bool want; };
  for (const auto& c : {Case{R"({"auths":{"https://index.docker.io/v1/":{}}})", "docker.io", true}, Case{R"({"auths":{"quay.io/some/where":{}}})", "quay.io", true},
                        Case{R"({"auths":{"quay.io.evil":{}}})", "quay.io", false}, Case{R"({"auths":[]})", "quay.io", false}, Case{"nonsense", "quay.io", false}})
    CHECK(has_login(c.logins, c.host) == c.want);
}

TEST_CASE("which image of an index is this machine's") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  CHECK(digest_for(R"({"manifests":[{"digest":"x","platform":{"architecture":"arm64","os":"linux"}},{"digest":")" + digest +
                   R"(","platform":{"architecture":"amd64","os":"linux"}}]})", "amd64").value() == digest);
  CHECK(digest_for(R"({"layers":[]})", "amd64").value().starts_with("sha256:"));
  for (const std::string bad : {"", "[", R"({"manifests":[]})", R"({"manifests":[{"digest":"sha256:1","platform":{"architecture":"amd64","os":"linux"}}]})"})
    CHECK_FALSE(digest_for(bad, "amd64").ok());
}

TEST_CASE("the store") {
  if (::access("/usr/bin/skopeo", X_OK) != 0 || ::access("/usr/bin/umoci", X_OK) != 0) {
    WARN("skipped: needs skopeo and umoci");
    return;
  }
  TempDir dir;
  Store store(Store::Options{.dir = dir.path() / "images", .fetch = {.timeout = std::chrono::seconds(20)}});
  const auto good = dir.path() / "good";
  layout(good, {{"disk", '5'}, {"disk/disk.img", '0', "DISK"}, {"bin/sh", '0', "x"}});
  const std::string name = "kubevirt/cirros-container-disk-demo:latest";

  SECTION("a mapped name wins over the registry, whatever the policy") {
    auto made = store.import("oci:" + good.string() + ":latest", name);
    INFO((made.ok() ? "" : made.error().message));
    REQUIRE(made.ok());
    for (const auto policy : {PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never}) {
      auto found = store.resolve(name, policy, "n1.pod1");
      REQUIRE(found.ok());
      CHECK(found->digest == made->digest);
      CHECK(nodevirt::read_file(found->path / "disk/disk.img").value() == "DISK");
      CHECK_FALSE(fs::exists(found->path / "bin"));
      CHECK(found->id() == "docker.io/kubevirt/cirros-container-disk-demo@" + made->digest);
    }
    auto listed = store.list();
    REQUIRE(listed.ok());
    REQUIRE(listed->size() == 1);
    CHECK(listed->at(0).bytes == 4);
    CHECK(listed->at(0).holders == std::vector<std::string>{"n1.pod1"});
    auto refused = store.remove(name);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message.find("in use by n1.pod1") != std::string::npos);
    REQUIRE(store.tag(name, "other:v1").ok());
    REQUIRE(store.remove(name).ok());            // another name still keeps the image
    CHECK(fs::exists(made->path / "disk"));
    store.release("n1.pod1");
    REQUIRE(store.remove("other:v1").ok());
    CHECK_FALSE(fs::exists(made->path));
    CHECK_FALSE(store.remove("other:v1").ok());
  }
  SECTION("a layout by its own name, without an import") {
    auto found = store.resolve("oci:" + good.string() + ":latest", PullPolicy::IfNotPresent);
    REQUIRE(found.ok());
    CHECK(store.find("oci:" + good.string() + ":latest", PullPolicy::Never).ok());
  }
  SECTION("archives") {
    Command c;
    c.argv = {"skopeo", "--insecure-policy", "copy", "oci:" + good.string() + ":latest", "docker-archive:" + (dir.path() / "a.tar").string() + ":x/y:z"};
    auto copied = check_output(c);
    INFO((copied.ok() ? "" : copied.error().message));
    REQUIRE(copied.ok());
    auto found = store.import("docker-archive:" + (dir.path() / "a.tar").string(), "x/y:z");
    INFO((found.ok() ? "" : found.error().message));
    REQUIRE(found.ok());
    CHECK(nodevirt::read_file(found->path / "disk/disk.img").value() == "DISK");
  }
  SECTION("no disk in it") {
    const auto bad = dir.path() / "bad";
    layout(bad, {{"bin/sh", '0', "x"}});
    auto r = store.import("oci:" + bad.string() + ":latest", "bad");
    REQUIRE_FALSE(r.ok());
    CHECK(r.error().message.find("holds no disk") != std::string::npos);
    CHECK(store.list()->empty());
  }
  SECTION("corrupt") {
    // Every blob but the small JSON ones: the layer.
    fs::path layer;
    std::uintmax_t largest = 0;
    for (const auto& e : fs::directory_iterator(good / "blobs/sha256")) {
      auto text = nodevirt::read_file(e.path()).value();
      if (text.empty() || text[0] == '{') continue;
      if (e.file_size() > largest) largest = e.file_size(), layer = e.path();
    }
    REQUIRE_FALSE(layer.empty());
    put(layer, "garbage");
    auto r = store.import("oci:" + good.string() + ":latest", "bad");
    REQUIRE_FALSE(r.ok());
    INFO(r.error().message);
    CHECK(r.error().message.find("corrupt") != std::string::npos);
  }
  SECTION("not there") {
    auto r = store.import("oci:/nowhere/at/all", "x");
    REQUIRE_FALSE(r.ok());
    CHECK((r.error().code == Code::NotFound));
    r = store.resolve("localhost:1/x/y", PullPolicy::IfNotPresent);
    REQUIRE_FALSE(r.ok());
    CHECK(r.error().message.find("no registry reachable") != std::string::npos);
    r = store.resolve("localhost:1/x/y", PullPolicy::Never);
    REQUIRE_FALSE(r.ok());
    CHECK(r.error().reason == "ErrImageNeverPull");
  }
  // Nothing half-made stays, whatever happened.
  std::size_t left = 0;
  if (fs::exists(dir.path() / "images/tmp"))
    for (const auto& e : fs::directory_iterator(dir.path() / "images/tmp")) left += e.is_directory();
  CHECK(left == 0);
}
