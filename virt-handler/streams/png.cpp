#include "virt-handler/streams/png.hpp"

#include <array>
#include <cstdint>

namespace nodevirt::virt_handler {
namespace {

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);

std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t n = 0; n < 256; ++n) {
    std::uint32_t c = n;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[n] = c;
  }
  return table;
}

std::uint32_t crc(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = crc_table();
  std::uint32_t c = 0xffffffffu;
  for (unsigned char byte : bytes) c = table[(c ^ byte) & 255] ^ (c >> 8);
  return ~c;
}

void put32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

void chunk(std::string& out, std::string_view type, std::string_view data) {
  put32(out, static_cast<std::uint32_t>(data.size()));
  std::string body(type);
  body += data;
  out += body;
  put32(out, crc(body));
}

/// zlib's format without compression.
std::string stored(std::string_view raw) {
  std::string out = "\x78\x01";
  std::uint32_t a = 1, b = 0;
  for (unsigned char byte : raw) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  do {
    std::size_t size = std::min<std::size_t>(raw.size(), 65535);
    out += static_cast<char>(size == raw.size());
    for (std::uint16_t value : {static_cast<std::uint16_t>(size), static_cast<std::uint16_t>(~size)}) {
      out += static_cast<char>(value & 255);
      out += static_cast<char>(value >> 8);
    }
    out += raw.substr(0, size);
    raw.remove_prefix(size);
  } while (!raw.empty());
  put32(out, (b << 16) | a);
  return out;
}

/// The next number of a PPM's head; 0 when there is none.
std::uint32_t number(std::string_view text, std::size_t& at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r' || text[at] == '#')) {
    if (text[at] == '#')
      while (at < text.size() && text[at] != '\n') ++at;
    else ++at;
  }
  std::uint32_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9' && value < 100000) value = value * 10 + static_cast<std::uint32_t>(text[at++] - '0');
  return value;
}

}  // namespace

Result<std::string> png_of_ppm(std::string_view ppm) {
  if (ppm.starts_with(kSignature)) return std::string(ppm);
  Error wrong{Code::InvalidArgument, "the screenshot is neither a PPM nor a PNG image"};
  if (!ppm.starts_with("P6")) return wrong;
  std::size_t at = 2;
  std::uint32_t width = number(ppm, at), height = number(ppm, at), depth = number(ppm, at);
  ++at;
  std::size_t row = std::size_t{width} * 3;
  if (width == 0 || height == 0 || width > 8192 || height > 8192 || depth != 255 || at > ppm.size() || ppm.size() - at < row * height)
    return wrong;

  std::string pixels;
  pixels.reserve((row + 1) * height);
  for (std::uint32_t y = 0; y < height; ++y) {
    pixels += '\0';
    pixels += ppm.substr(at + y * row, row);
  }
  std::string head;
  put32(head, width);
  put32(head, height);
  head += std::string("\x08\x02\x00\x00\x00", 5);
  std::string out(kSignature);
  chunk(out, "IHDR", head);
  chunk(out, "IDAT", stored(pixels));
  chunk(out, "IEND", "");
  return out;
}

}  // namespace nodevirt::virt_handler
