#include "pkg/net/websocket_frames.hpp"

namespace nodevirt::net {

bool valid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      ++i;
      continue;
    }
    std::size_t n = c >= 0xC2 && c <= 0xDF ? 1 : (c & 0xF0) == 0xE0 ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
    if (n == 0 || i + n >= text.size()) return false;
    unsigned value = c & (0x3F >> n);
    for (std::size_t k = 1; k <= n; ++k) {
      auto follow = static_cast<unsigned char>(text[i + k]);
      if ((follow & 0xC0) != 0x80) return false;
      value = value << 6 | (follow & 0x3F);
    }
    if ((n == 2 && value < 0x800) || (n == 3 && (value < 0x10000 || value > 0x10FFFF)) ||
        (value >= 0xD800 && value <= 0xDFFF))
      return false;
    i += n + 1;
  }
  return true;
}

bool valid_close_code(int code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code < 5000);
}

std::optional<FrameReader::Event> FrameReader::fail(int code, std::string text) {
  fault_ = FrameFault{code, std::move(text)};
  return std::nullopt;
}

std::optional<FrameReader::Event> FrameReader::next(std::string& in) {
  while (!fault_ && in.size() >= 2) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(in[i]); };
    bool fin = byte(0) & 0x80;
    auto opcode = static_cast<Opcode>(byte(0) & 0x0F);
    bool control = byte(0) & 0x08;
    bool mask = byte(1) & 0x80;
    std::uint64_t size = byte(1) & 0x7F;
    if (byte(0) & 0x70) return fail(1002, "reserved bits are set");
    if (mask != masked_) return fail(1002, masked_ ? "a client must mask its frames" : "a server must not mask its frames");
    std::size_t at = 2;
    if (size == 126) {
      if (in.size() < 4) return std::nullopt;
      size = static_cast<std::uint64_t>(byte(2)) << 8 | byte(3);
      at = 4;
    } else if (size == 127) {
      if (in.size() < 10) return std::nullopt;
      size = 0;
      for (std::size_t i = 2; i < 10; ++i) size = size << 8 | byte(i);
      at = 10;
    }
    if (control) {
      if (!fin || size > 125) return fail(1002, "a control frame is fragmented or too long");
      if (opcode != Opcode::Close && opcode != Opcode::Ping && opcode != Opcode::Pong) return fail(1002, "unknown opcode");
    } else {
      if (opcode == Opcode::Continuation ? !in_message_ : in_message_) return fail(1002, "a fragment is out of order");
      if (opcode != Opcode::Continuation && opcode != Opcode::Text && opcode != Opcode::Binary)
        return fail(1002, "unknown opcode");
      if (size > max_message_ || message_.size() + size > max_message_) return fail(1009, "the message is too large");
    }
    std::size_t key = at;
    if (mask) at += 4;
    if (in.size() < at || in.size() - at < size) return std::nullopt;
    std::string data = in.substr(at, size);
    if (mask)
      for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(data[i] ^ in[key + (i & 3)]);
    in.erase(0, at + size);
    if (control) return Event{opcode, std::move(data)};
    if (opcode != Opcode::Continuation) message_opcode_ = opcode;
    in_message_ = !fin;
    if (message_.empty()) message_ = std::move(data);
    else message_ += data;
    if (!fin) continue;
    if (message_opcode_ == Opcode::Text && !valid_utf8(message_)) return fail(1007, "a text message is not UTF-8");
    return Event{message_opcode_, std::exchange(message_, {})};
  }
  return std::nullopt;
}

std::string write_frame(Opcode opcode, std::string_view data, std::optional<std::array<unsigned char, 4>> mask) {
  std::string out;
  out.reserve(data.size() + 14);
  out += static_cast<char>(0x80 | static_cast<unsigned>(opcode));
  unsigned flag = mask ? 0x80 : 0;
  if (data.size() < 126) {
    out += static_cast<char>(flag | data.size());
  } else if (data.size() <= 0xFFFF) {
    out += static_cast<char>(flag | 126);
    out += static_cast<char>(data.size() >> 8);
    out += static_cast<char>(data.size());
  } else {
    out += static_cast<char>(flag | 127);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(static_cast<std::uint64_t>(data.size()) >> shift);
  }
  if (!mask) return out.append(data);
  out.append(reinterpret_cast<const char*>(mask->data()), 4);
  auto at = out.size();
  out.append(data);
  for (std::size_t i = 0; i < data.size(); ++i) out[at + i] = static_cast<char>(out[at + i] ^ (*mask)[i & 3]);
  return out;
}

std::string close_payload(int code, std::string_view reason) {
  if (!valid_close_code(code)) return {};
  constexpr std::size_t kMax = 123;
  if (reason.size() > kMax) {
    reason = reason.substr(0, kMax);
    while (!reason.empty() && !valid_utf8(reason)) reason.remove_suffix(1);
  }
  std::string out{static_cast<char>(code >> 8), static_cast<char>(code)};
  if (valid_utf8(reason)) out.append(reason);
  return out;
}

}  // namespace nodevirt::net
