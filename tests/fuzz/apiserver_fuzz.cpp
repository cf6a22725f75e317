// fuzz: standalone_apiserver
// What a client of the API server sends before anybody knows who it is: paths, Accept, bodies in JSON, YAML
// and protobuf. The first byte chooses.
#include <cstdint>

#include "standalone/apiserver/auth/tokens.hpp"
#include "standalone/apiserver/handlers/negotiation.hpp"
#include "standalone/apiserver/log_files.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/schema_cache.hpp"
#include "standalone/apiserver/store/object.hpp"
#include "standalone/apiserver/wire/protobuf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt;
  using namespace nodevirt::apiserver;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0: (void)negotiate(text); break;
    case 1: {
      net::Request r;
      r.target = text;
      (void)parse_request(r, r.query());
      break;
    }
    case 2: (void)decode_body("application/json", text); break;
    case 3: {
      auto value = yaml_to_json(text);
      if (value.ok()) (void)json_to_yaml(*value);
      break;
    }
    case 4: (void)wire::decode_protobuf(text); break;
    case 5: {
      std::string out;
      (void)base64url_decode(text, out);
      (void)parse_log_line(text);
      break;
    }
    default:
      (void)ObjectIndex::decode(text);
      for (auto v : raw_elements(raw_member(text, "a"))) (void)raw_member(v, "b");
  }
  return 0;
}
