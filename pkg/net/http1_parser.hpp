// HTTP/1.1 messages from bytes, without I/O. Beast's parser does the work; its headers are seen by
// http1_parser.cpp alone.
#pragma once
#include <memory>
#include <optional>

#include "pkg/net/message.hpp"

namespace nodevirt::net {

struct Http1Limits {
  std::size_t max_header = 64u << 10;
  std::optional<std::uint64_t> max_body;  ///< none: unbounded (streams)
};

/// One message. Bytes are fed as they come; what feed() did not consume stays with the caller and
/// stands at the front of the next feed (an incomplete head, or what follows the message).
class Http1Parser {
 public:
  enum class Kind { Request, Response, ResponseToHead };
  Http1Parser(Kind kind, Http1Limits limits);
  ~Http1Parser();
  Http1Parser(Http1Parser&&) noexcept;
  Http1Parser& operator=(Http1Parser&&) noexcept;

  /// The number of bytes consumed. Errors: InvalidArgument with the reason "HeaderTooLarge",
  /// "BodyTooLarge" or "BadMessage".
  Result<std::size_t> feed(std::string_view bytes);
  /// The peer has ended; DataLoss when the message is not whole.
  Result<void> feed_end();

  bool started() const;     ///< a byte of the message has been seen
  bool head_done() const;
  bool done() const;
  bool keep_alive() const;  ///< valid when the head is done
  int version() const;      ///< 10 or 11
  /// The head; the body stays empty here.
  Request& request();
  Response& response();
  /// The body's bytes that have come since the last call.
  std::string take_body();
  std::size_t body_size() const;  ///< of what take_body would give

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A head on the wire. Line ends in values are replaced by spaces.
std::string write_head(const Request& request);
std::string write_head(const Response& response);
std::string_view reason_phrase(int status);

}  // namespace nodevirt::net
