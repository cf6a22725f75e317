#include "virt-launcher/storage/cloud_init.hpp"

#include <fstream>
#include <unistd.h>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/process.hpp"

namespace nodevirt::virt_launcher::storage {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxDatum = 4u << 20;  // a Secret holds 1 MiB

// A secret's key may be spelled in two ways.
Result<std::string> read_secret(const fs::path& folder, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    auto text = read_file(folder / name, kMaxDatum);
    if (text.ok() || text.error().code != Code::NotFound) return text;
  }
  return Error(Code::NotFound, fmt::format("the secret mounted at {} has no key {}", folder.string(), *names.begin()));
}

Result<std::string> datum(const std::string& plain, const std::string& base64, const std::string& secret,
                          const fs::path& folder, std::initializer_list<const char*> names) {
  if (!secret.empty()) return read_secret(folder, names);
  if (!base64.empty()) return decode_base64(base64);
  return plain;
}

Result<void> add_keys(SeedData& data, const api::Instance& instance, const api::Volume& volume, const fs::path& secrets) {
  std::string want = volume.kind == api::VolumeKind::cloudInitNoCloud ? "noCloud" : "configDrive";
  for (auto& c : instance.spec.access_credentials) {
    if (c.kind != "sshPublicKey" || c.propagation != want) continue;
    std::error_code ec;
    for (auto& entry : fs::directory_iterator(secrets / (c.secret_name + "-access-cred"), ec)) {
      if (entry.path().filename().string().starts_with(".") || data.public_keys.size() >= 100) continue;
      NV_TRY(std::string text, read_file(entry.path(), kMaxDatum));
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line) && data.public_keys.size() < 100;)
        if (!line.empty() && line[0] != '#') data.public_keys.push_back(line);
    }
    if (ec) return Error(Code::NotFound, fmt::format("the secret {} of an access credential is not mounted", c.secret_name));
  }
  return {};
}

}  // namespace

Result<std::string> decode_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int n = 0, padding = 0;
  for (char c : text) {
    int v;
    if (c >= 'A' && c <= 'Z') v = c - 'A';
    else if (c >= 'a' && c <= 'z') v = c - 'a' + 26;
    else if (c >= '0' && c <= '9') v = c - '0' + 52;
    else if (c == '+') v = 62;
    else if (c == '/') v = 63;
    else if (c == '=') { ++padding; continue; }
    else if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    else return Error(Code::InvalidArgument, "not base64: a character is not of its alphabet");
    if (padding) return Error(Code::InvalidArgument, "not base64: text after the padding");
    bits = bits << 6 | static_cast<std::uint32_t>(v);
    if (++n % 4 == 0) {
      for (int shift : {16, 8, 0}) out += static_cast<char>(bits >> shift);
      bits = 0;
    }
  }
  if ((n % 4 == 2 && padding == 2)) out += static_cast<char>(bits >> 4);
  else if (n % 4 == 3 && padding == 1) out += static_cast<char>(bits >> 10), out += static_cast<char>(bits >> 2);
  else if (n % 4 != 0 || padding != 0) return Error(Code::InvalidArgument, "not base64: wrong length or padding");
  return out;
}

std::map<std::string, std::string> seed_files(const api::Instance& vmi, const api::Volume& volume, const SeedData& data) {
  const auto& m = vmi.metadata;
  std::string hostname = vmi.spec.hostname.empty() ? m.name : vmi.spec.hostname;
  std::string id = m.name + "." + m.namespace_;
  std::string user_data = data.user_data.empty() ? "#cloud-config\n" : data.user_data;
  std::map<std::string, std::string> files;
  if (volume.kind == api::VolumeKind::cloudInitNoCloud) {
    Json meta{{"instance-id", id}, {"local-hostname", hostname}};
    if (!data.public_keys.empty()) meta["public-keys"] = data.public_keys;
    files["meta-data"] = dump_json(meta) + "\n";
    files["user-data"] = user_data;
    if (!data.network_data.empty()) files["network-config"] = data.network_data;
    return files;
  }
  Json meta{{"instance_id", id}, {"hostname", hostname}, {"local_hostname", hostname}, {"uuid", m.uid}};
  if (!data.public_keys.empty()) {
    Json keys = Json::object();
    for (std::size_t i = 0; i < data.public_keys.size(); ++i) keys[std::to_string(i)] = data.public_keys[i];
    meta["public_keys"] = keys;
  }
  files["openstack/latest/meta_data.json"] = dump_json(meta) + "\n";
  files["openstack/latest/user_data"] = user_data;
  if (!data.network_data.empty()) files["openstack/latest/network_data.json"] = data.network_data;
  return files;
}

Result<SeedData> collect_seed(const api::Instance& instance, const api::Volume& volume, const fs::path& secrets) {
  const auto& c = volume.cloud_init;
  fs::path folder = secrets / volume.name;
  SeedData data;
  NV_TRY(data.user_data, datum(c.user_data, c.user_data_base64, c.user_data_secret, folder, {"userdata", "userData"}));
  NV_TRY(data.network_data, datum(c.network_data, c.network_data_base64, c.network_data_secret, folder, {"networkdata", "networkData"}));
  NV_TRY_VOID(add_keys(data, instance, volume, secrets));
  return data;
}

Result<void> make_iso(const fs::path& iso, const std::string& label, const std::map<std::string, std::string>& files) {
  TempDir staging("seed");
  for (auto& [name, content] : files) {
    fs::path path = staging.path() / name;
    NV_TRY_VOID(make_dirs(path.parent_path()));
    std::ofstream out(path, std::ios::binary);  // goes with this function: nothing here need survive a crash
    if (!out.write(content.data(), static_cast<std::streamsize>(content.size())).flush())
      return Error(Code::ResourceExhausted, "make the cloud-init image: write " + path.string());
  }
  std::string half = iso.string() + ".new";
  Command command{.argv = {"xorrisofs", "-quiet", "-o", half, "-volid", label, "-joliet", "-rock", staging.path().string()},
                  .timeout = std::chrono::seconds(30)};
  auto done = check_output(command);
  if (!done.ok()) return done.error().with_context("make the cloud-init image");
  if (::rename(half.c_str(), iso.c_str()) != 0) return errno_error(errno, "make " + iso.string());
  return {};
}

}  // namespace nodevirt::virt_launcher::storage
