// Why a migration failed, for a person who knows neither libvirt nor QEMU. Pure.
#pragma once
#include <string>
#include <string_view>

namespace nodevirt::virt_launcher::migration {

/// One line: the cause at the target where libvirt's words are known to mean one, then those words.
std::string cause_of(std::string_view libvirt_words);

}  // namespace nodevirt::virt_launcher::migration
