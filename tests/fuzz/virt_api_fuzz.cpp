// fuzz: virt_api_lib
// What the API server passes on from users: admission reviews and conversion reviews.
#include <cstdint>

#include "virt-api/admission/webhooks.hpp"
#include "virt-api/conversion/conversion.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nodevirt::virt_api;
  std::string body(reinterpret_cast<const char*>(data), size);
  auto review = decode_review(body);
  if (review.ok())
    for (const auto& hook : webhooks())
      if (hook.decide) (void)encode_review(*review, hook.decide(*review));
  auto converted = convert_review(body);
  (void)converted;
  return 0;
}
