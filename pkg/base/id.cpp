#include "pkg/base/id.hpp"

#include <array>
#include <sys/random.h>

#include <fmt/format.h>
#include <openssl/sha.h>

#include "pkg/base/check.hpp"

namespace nodevirt {

namespace {

std::string format_uuid(const unsigned char* b) {
  std::string out;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", b[i]);
  }
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void random_bytes(std::span<unsigned char> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    ssize_t n = ::getrandom(out.data() + done, out.size() - done, 0);
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

std::string new_uuid() {
  std::array<unsigned char, 16> b;
  random_bytes(b);
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  return format_uuid(b.data());
}

std::string uuid_v5(std::string_view ns, std::string_view name) {
  std::string data;
  int high = -1;
  for (char c : ns) {
    int v = hex_value(c);
    if (v < 0) continue;
    if (high < 0) high = v;
    else { data += static_cast<char>(high << 4 | v); high = -1; }
  }
  data += name;
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest.data());
  digest[6] = (digest[6] & 0x0f) | 0x50;
  digest[8] = (digest[8] & 0x3f) | 0x80;
  return format_uuid(digest.data());
}

std::string random_suffix(std::size_t n) {
  static constexpr std::string_view alphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  while (out.size() < n) {
    std::array<unsigned char, 16> b;
    random_bytes(b);
    for (unsigned char c : b)
      if (out.size() < n && c < 256 / alphabet.size() * alphabet.size()) out += alphabet[c % alphabet.size()];
  }
  return out;
}

}  // namespace nodevirt
