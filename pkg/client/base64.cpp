#include "pkg/client/base64.hpp"

namespace nodevirt::client {

Result<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0, padding = 0;
  for (char c : text) {
    int value;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    else if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    else if (c >= '0' && c <= '9') value = c - '0' + 52;
    else if (c == '+') value = 62;
    else if (c == '/') value = 63;
    else if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    else if (c == '=') { ++padding; continue; }
    else return Error(Code::InvalidArgument, "not base64: an unexpected character");
    if (padding > 0) return Error(Code::InvalidArgument, "not base64: something follows \"=\"");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++count % 4 == 0) {
      out += static_cast<char>(bits >> 16);
      out += static_cast<char>(bits >> 8);
      out += static_cast<char>(bits);
    }
  }
  int rest = count % 4;
  if (rest == 1 || padding > 2 || (padding > 0 && rest + padding != 4)) return Error(Code::InvalidArgument, "not base64: it is cut off");
  if (rest == 2) out += static_cast<char>(bits >> 4);
  if (rest == 3) {
    out += static_cast<char>(bits >> 10);
    out += static_cast<char>(bits >> 2);
  }
  return out;
}

}  // namespace nodevirt::client
