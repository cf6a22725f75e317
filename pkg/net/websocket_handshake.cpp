#include "pkg/net/websocket_handshake.hpp"

#include <openssl/evp.h>

#include "pkg/base/id.hpp"

namespace nodevirt::net {

namespace {

std::string base64(std::span<const unsigned char> bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
         });
}

}  // namespace

std::string websocket_key() {
  std::array<unsigned char, 16> bytes{};
  random_bytes(bytes);
  return base64(bytes);
}

std::string websocket_accept(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, 20> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return base64(digest);
}

std::vector<std::string> header_tokens(const Headers& headers, std::string_view name) {
  std::vector<std::string> out;
  for (auto value : headers.all(name)) {
    while (!value.empty()) {
      auto comma = value.find(',');
      auto token = value.substr(0, comma);
      value = comma == std::string_view::npos ? std::string_view{} : value.substr(comma + 1);
      while (!token.empty() && (token.front() == ' ' || token.front() == '\t')) token.remove_prefix(1);
      while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
      if (!token.empty()) out.emplace_back(token);
    }
  }
  return out;
}

bool has_token(const Headers& headers, std::string_view name, std::string_view token) {
  auto tokens = header_tokens(headers, name);
  return std::any_of(tokens.begin(), tokens.end(), [&](const std::string& t) { return same(t, token); });
}

}  // namespace nodevirt::net
