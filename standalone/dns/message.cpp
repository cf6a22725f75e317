#include "standalone/dns/message.hpp"

#include <arpa/inet.h>

namespace nodevirt::dns {
namespace {

constexpr std::size_t kHeader = 12, kMaxName = 255, kMaxLabel = 63;

class Reader {
 public:
  explicit Reader(std::string_view message) : m_(message) {}
  bool u8(std::uint8_t& v) {
    if (at_ + 1 > m_.size()) return false;
    v = static_cast<unsigned char>(m_[at_++]);
    return true;
  }
  bool u16(std::uint16_t& v) {
    std::uint8_t a = 0, b = 0;
    if (!u8(a) || !u8(b)) return false;
    v = static_cast<std::uint16_t>(a << 8 | b);
    return true;
  }
  bool skip(std::size_t n) {
    if (n > m_.size() - at_) return false;
    at_ += n;
    return true;
  }
  /// `raw` keeps the case. Pointers must lead to somewhere before themselves, so that this ends.
  bool name(std::string& raw) {
    raw.clear();
    std::size_t at = at_, length = 1, limit = m_.size();
    bool jumped = false;
    for (;;) {
      if (at >= m_.size()) return false;
      const std::uint8_t n = static_cast<unsigned char>(m_[at]);
      if (n == 0) {
        if (!jumped) at_ = at + 1;
        return true;
      }
      if ((n & 0xc0) == 0xc0) {
        if (at + 1 >= m_.size()) return false;
        const std::size_t to = static_cast<std::size_t>(n & 0x3f) << 8 | static_cast<unsigned char>(m_[at + 1]);
        if (to >= at || to >= limit || to < kHeader) return false;
        if (!jumped) at_ = at + 2;
        jumped = true;
        limit = to;
        at = to;
        continue;
      }
      if (n > kMaxLabel || at + 1 + n > m_.size() || (length += n + 1) > kMaxName) return false;
      for (char c : m_.substr(at + 1, n))
        if (c == '.' || static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f) return false;
      if (!raw.empty()) raw += '.';
      raw += m_.substr(at + 1, n);
      at += 1 + n;
    }
  }

 private:
  std::string_view m_;
  std::size_t at_ = 0;
};

std::string lower(std::string s) {
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return s;
}

void put16(std::string& out, std::uint16_t v) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v & 255);
}
void put32(std::string& out, std::uint32_t v) {
  put16(out, static_cast<std::uint16_t>(v >> 16));
  put16(out, static_cast<std::uint16_t>(v & 0xffff));
}

bool put_name(std::string& out, std::string_view name) {
  if (name.size() + 2 > kMaxName) return false;
  while (!name.empty()) {
    std::size_t dot = std::min(name.find('.'), name.size());
    if (dot == 0 || dot > kMaxLabel) return false;
    out += static_cast<char>(dot);
    out += name.substr(0, dot);
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  out += '\0';
  return true;
}

/// The question's name stands at offset 12: the name most records have.
bool put_owner(std::string& out, const Name& name, const Query& query) {
  if (name != query.question.name) return put_name(out, name);
  put16(out, 0xc000 | kHeader);
  return true;
}

std::optional<std::string> encode(const Record& r, const Query& query) {
  std::string out, data;
  if (!put_owner(out, r.name, query)) return std::nullopt;
  in_addr a{};
  switch (r.type) {
    case kA:
      if (inet_pton(AF_INET, r.address.c_str(), &a) != 1) return std::nullopt;
      data.assign(reinterpret_cast<const char*>(&a), 4);
      break;
    case kSRV:
      put16(data, r.priority);
      put16(data, r.weight);
      put16(data, r.port);
      [[fallthrough]];
    case kCNAME:
    case kPTR:
    case kNS:
      if (!put_name(data, r.target)) return std::nullopt;
      break;
    default:
      return std::nullopt;
  }
  put16(out, r.type);
  put16(out, kInternet);
  put32(out, r.ttl);
  put16(out, static_cast<std::uint16_t>(data.size()));
  return out + data;
}

std::string encode_soa(const Name& zone, const Query& query) {
  std::string out, data;
  put_owner(out, zone, query);
  put_name(data, "ns.dns." + zone);
  put_name(data, "hostmaster." + zone);
  for (std::uint32_t v : {1u, 7200u, 1800u, 86400u, 5u}) put32(data, v);   // the last: how long "no" is remembered
  put16(out, kSOA);
  put16(out, kInternet);
  put32(out, 5);
  put16(out, static_cast<std::uint16_t>(data.size()));
  return out + data;
}

std::string encode_opt(ResponseCode) {
  std::string out(1, '\0');
  put16(out, kOPT);
  put16(out, 1232);
  put32(out, 0);
  put16(out, 0);
  return out;
}

void set16(std::string& out, std::size_t at, std::uint16_t v) {
  out[at] = static_cast<char>(v >> 8);
  out[at + 1] = static_cast<char>(v & 255);
}

}  // namespace

std::optional<std::uint16_t> message_id(std::string_view m) {
  if (m.size() < kHeader) return std::nullopt;
  return static_cast<std::uint16_t>(static_cast<unsigned char>(m[0]) << 8 | static_cast<unsigned char>(m[1]));
}

Result<Query> parse_query(std::string_view m) {
  auto bad = [](const char* what) { return Error{Code::InvalidArgument, fmt::format("DNS query: {}", what)}; };
  Reader in(m);
  Query q;
  std::uint16_t flags = 0, questions = 0, answer_count = 0, authority = 0, additional = 0;
  if (!in.u16(q.id) || !in.u16(flags) || !in.u16(questions) || !in.u16(answer_count) || !in.u16(authority) || !in.u16(additional)) return bad("short header");
  if (flags & 0x8000) return bad("is an answer");
  q.opcode = static_cast<std::uint8_t>(flags >> 11 & 15);
  q.recursion_desired = flags & 0x0100;
  if (questions != 1 || answer_count != 0 || authority != 0 || additional > 8) return bad("wrong number of records");
  if (!in.name(q.question.raw_name) || !in.u16(q.question.type) || !in.u16(q.question.klass)) return bad("unreadable question");
  q.question.name = lower(q.question.raw_name);
  for (std::uint16_t i = 0; i < additional; ++i) {
    std::string name;
    std::uint16_t type = 0, klass = 0, length = 0;
    if (!in.name(name) || !in.u16(type) || !in.u16(klass) || !in.skip(4) || !in.u16(length) || !in.skip(length)) return bad("unreadable record");
    if (type != kOPT) continue;
    q.edns = true;
    q.udp_size = std::clamp<std::size_t>(klass, 512, 4096);
  }
  return q;
}

std::string encode_error(std::uint16_t id, ResponseCode code) {
  std::string out;
  put16(out, id);
  put16(out, static_cast<std::uint16_t>(0x8000 | code));
  out.resize(kHeader, '\0');
  return out;
}

std::string encode_response(const Query& q, const Answer& a, std::size_t limit) {
  std::string out;
  put16(out, q.id);
  std::uint16_t flags = static_cast<std::uint16_t>(0x8080 | q.opcode << 11 | (a.authoritative ? 0x0400 : 0) | (q.recursion_desired ? 0x0100 : 0) | a.code);
  put16(out, flags);
  out.resize(kHeader, '\0');
  set16(out, 4, 1);
  put_name(out, q.question.raw_name);
  put16(out, q.question.type);
  put16(out, q.question.klass);
  const std::string opt = q.edns ? encode_opt(a.code) : "";
  std::uint16_t answers = 0, authority = 0, additional = 0;
  for (const Record& r : a.answers) {
    auto record = encode(r, q);
    if (!record) continue;
    if (out.size() + record->size() + opt.size() > limit) {
      set16(out, 2, flags | 0x0200);
      break;
    }
    out += *record;
    ++answers;
  }
  if (answers == 0 && !a.zone.empty()) {
    out += encode_soa(a.zone, q);
    authority = 1;
  }
  for (const Record& r : a.additional) {
    auto record = encode(r, q);
    if (!record || out.size() + record->size() + opt.size() > limit) break;
    out += *record;
    ++additional;
  }
  if (q.edns) {
    out += opt;
    ++additional;
  }
  set16(out, 6, answers);
  set16(out, 8, authority);
  set16(out, 10, additional);
  return out;
}

bool answers(std::string_view m, const Query& q) {
  Reader in(m);
  std::uint16_t id = 0, flags = 0, questions = 0, type = 0, klass = 0;
  std::string name;
  if (!in.u16(id) || !in.u16(flags) || !in.u16(questions) || !in.skip(6)) return false;
  if (id != q.id || !(flags & 0x8000) || questions != 1) return false;
  return in.name(name) && in.u16(type) && in.u16(klass) && lower(name) == q.question.name && type == q.question.type && klass == q.question.klass;
}

bool truncated(std::string_view m) { return m.size() >= kHeader && (static_cast<unsigned char>(m[2]) & 0x02); }

}  // namespace nodevirt::dns
