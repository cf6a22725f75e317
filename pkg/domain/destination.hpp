// The definition of a domain that migrates, as the target's libvirt is to have it. Pure.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "pkg/domain/domain.hpp"

namespace nodevirt::domain {

/// What is different at the target. The guest sees nothing of it: addresses, MACs, MTUs, CPU and machine stay.
struct Destination {
  std::string source_socket_dir, socket_dir;
  std::vector<DiskSource> disks;            ///< by volume; a disk without one keeps what it has
  std::map<std::string, std::string> taps;  ///< interface's name -> tap; one without an entry keeps its own
  std::string compression;                  ///< of parallel streams: "", zlib or zstd
};

/// `live_xml` is libvirt's migratable definition of the running domain. InvalidArgument when it cannot be read.
Result<std::string> destination_xml(const std::string& live_xml, const Destination& destination);

/// volume -> target device ("root" -> "vda") of a definition that build_domain_xml or libvirt made.
Result<std::map<std::string, std::string>> disk_targets(const std::string& xml);

/// volume -> the file right below its image; only volumes that have one.
Result<std::map<std::string, std::string>> disk_backing(const std::string& xml);

}  // namespace nodevirt::domain
