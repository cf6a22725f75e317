// Makes virt-api known to the API server.
#pragma once
#include <memory>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "virt-api/registration/objects.hpp"

namespace nodevirt::virt_api {

/// Applies all of them, each until it succeeds (the API server may start later than we do); sets `done`.
/// What is there already is not written again.
Awaitable<void> register_all(client::Client client, Clock& clock, std::vector<Registration> all, std::shared_ptr<bool> done,
                             StopToken stop);

}  // namespace nodevirt::virt_api
