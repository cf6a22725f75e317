// DNS messages (RFC 1035), as far as a resolver for Services needs them. Hostile bytes are safe: nothing is read
// beyond the message, names are bounded, compression pointers only lead backwards.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::dns {

enum Type : std::uint16_t { kA = 1, kNS = 2, kCNAME = 5, kSOA = 6, kPTR = 12, kTXT = 16, kAAAA = 28, kSRV = 33, kOPT = 41, kAny = 255 };
enum ResponseCode : std::uint8_t { kNoError = 0, kFormatError = 1, kServerFailure = 2, kNameError = 3, kNotImplemented = 4, kRefused = 5 };
inline constexpr std::uint16_t kInternet = 1;

/// Labels joined by dots, without the last dot; lower case. Dots and control characters inside labels are refused.
using Name = std::string;

struct Question {
  Name name;
  std::string raw_name;              ///< as asked, with its letters' case: answers repeat it
  std::uint16_t type = kA, klass = kInternet;
};

struct Query {
  std::uint16_t id = 0;
  bool recursion_desired = false;
  std::uint8_t opcode = 0;
  Question question;
  std::size_t udp_size = 512;        ///< what the asker takes in a datagram (EDNS), 512 to 4096
  bool edns = false;
};

struct Record {
  Name name;
  std::uint16_t type = kA;
  std::uint32_t ttl = 5;
  std::string address;               ///< A: dotted
  Name target;                       ///< CNAME, PTR, SRV
  std::uint16_t priority = 0, weight = 0, port = 0;   ///< SRV
};

struct Answer {
  ResponseCode code = kNoError;
  bool authoritative = true;
  std::vector<Record> answers, additional;
  Name zone;                         ///< with code kNameError or without answers: whose SOA goes along; empty: none
};

/// A query with exactly one question. InvalidArgument for everything else.
Result<Query> parse_query(std::string_view message);
/// The header's id, also of what is no query: for error answers. nullopt when there is no whole header.
std::optional<std::uint16_t> message_id(std::string_view message);

/// At most `limit` bytes; what does not fit is left out, with TC set.
std::string encode_response(const Query& query, const Answer& answer, std::size_t limit);
/// A header alone, for what could not be read.
std::string encode_error(std::uint16_t id, ResponseCode code);

/// Whether `message` answers `query`: id, response bit and question are the same. For forwarded queries.
bool answers(std::string_view message, const Query& query);
/// The TC bit of a message.
bool truncated(std::string_view message);

}  // namespace nodevirt::dns
