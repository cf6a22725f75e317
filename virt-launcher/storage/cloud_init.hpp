// cloud-init's seed: NoCloud and ConfigDrive, as files and as an ISO image.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "api/vmi.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::virt_launcher::storage {

/// What goes into a seed, decoded.
struct SeedData {
  std::string user_data, network_data;
  std::vector<std::string> public_keys;
};

/// The files of the volume's seed: relative path -> content. Pure.
std::map<std::string, std::string> seed_files(const api::Instance& instance, const api::Volume& volume, const SeedData& data);

/// The volume's data from its inline, base64 or secret source (mounted below `secrets`/VOLUME), and the public keys
/// of the instance's access credentials.
Result<SeedData> collect_seed(const api::Instance& instance, const api::Volume& volume, const std::filesystem::path& secrets);

/// Strict base64 with padding, white space allowed.
Result<std::string> decode_base64(std::string_view text);

/// An ISO 9660 image (with Joliet and Rock Ridge) of `files`; replaces what is at `iso`.
Result<void> make_iso(const std::filesystem::path& iso, const std::string& label, const std::map<std::string, std::string>& files);

}  // namespace nodevirt::virt_launcher::storage
