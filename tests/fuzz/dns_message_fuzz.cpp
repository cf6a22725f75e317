// fuzz: standalone_dns
// DNS queries as the resolver gets them, and answers as an upstream may send them.
#include "standalone/dns/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt::dns;
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  auto query = parse_query(message);
  if (!query.ok()) return 0;
  Answer answer;
  answer.zone = "cluster.local";
  answer.answers.push_back({.name = query->question.name, .type = kA, .address = "10.0.0.1"});
  const std::string bytes = encode_response(*query, answer, query->udp_size);
  if (bytes.size() > query->udp_size + 300 || !answers(bytes, *query)) __builtin_trap();
  (void)answers(message, *query);
  return 0;
}
