// Whether two pods have the same bytes below their overlays, so that only what lies above must be copied.
#pragma once
#include <filesystem>
#include <string>

namespace nodevirt::virt_launcher::migration {

/// Equal only for one and the same file, unchanged, of one running machine; empty when it cannot be told. Nodes that
/// do not share their images never have equal ones: there the whole disk is copied, which is always right.
std::string base_identity(const std::filesystem::path& base);

}  // namespace nodevirt::virt_launcher::migration
