// fuzz: pkg_net
// HTTP/1.1 requests and answers, in pieces, and the query strings and paths that they carry.
#include <cstdint>

#include "pkg/net/http1_parser.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt::net;
  if (size < 2) return 0;
  auto kind = static_cast<Http1Parser::Kind>(data[0] % 3);
  std::size_t step = data[1] + 1;
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  Http1Parser parser(kind, {.max_header = 4096, .max_body = 65536});
  std::string pending;
  while (!rest.empty() && !parser.done()) {
    pending += rest.substr(0, step);
    rest.remove_prefix(std::min(step, rest.size()));
    auto used = parser.feed(pending);
    if (!used.ok()) return 0;
    pending.erase(0, *used);
    (void)parser.take_body();
  }
  if (parser.head_done() && kind == Http1Parser::Kind::Request) {
    (void)parser.request().path();
    (void)parser.request().query().to_string();
    (void)write_head(parser.request());
  }
  (void)parser.feed_end();
  return 0;
}
