// Writes onto a migrating instance: read, patch, and again when somebody else was faster.
#pragma once
#include <functional>
#include <string>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::virt_handler::migration {

/// A patch for the instance as it was read; empty: nothing to change.
using MakePatch = std::function<Json(const Json& vmi)>;

struct Written {
  bool gone = false;         ///< the instance is no more, or another one has its name
  Json vmi;                  ///< as it is after that
};

/// Errors only of the API server's; lost races are run again until they are won or the patch is empty.
Awaitable<Result<Written>> write_instance(client::Client client, Clock& clock, std::string ns, std::string name, std::string uid, MakePatch make,
                                          StopToken stop);
Awaitable<Result<Written>> read_instance(client::Client client, std::string ns, std::string name, std::string uid);

}  // namespace nodevirt::virt_handler::migration
