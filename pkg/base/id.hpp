// Random identifiers, from the kernel's generator.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace nodevirt {

/// A random (version 4) UUID in lower case.
std::string new_uuid();
/// The name-based (version 5) UUID of `name` in `namespace_uuid`; used where an identity must stay.
std::string uuid_v5(std::string_view namespace_uuid, std::string_view name);
/// `n` characters of Kubernetes' generateName alphabet (bcdfghjklmnpqrstvwxz2456789).
std::string random_suffix(std::size_t n = 5);
void random_bytes(std::span<unsigned char> out);

}  // namespace nodevirt
