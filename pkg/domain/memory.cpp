#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_memory(Context& c) {
  std::int64_t bytes = api::guest_memory_bytes(c.spec());
  if (bytes <= 0)
    return Error(Code::InvalidArgument, "Invalid",
                 "the guest has no memory: set spec.domain.memory.guest or spec.domain.resources.requests.memory");
  c.domain.child("memory").attr("unit", "b").text(std::to_string(bytes));
  return {};
}

}  // namespace nodevirt::domain
