// `nodevirt apiserver`: the API server as a program.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/async.hpp"
#include "pkg/client/transport.hpp"

namespace nodevirt::apiserver {

/// What runs beside the server in its process, as an administrator and without sockets between them.
using Extension = std::function<Awaitable<void>(std::shared_ptr<client::Transport>, StopToken)>;
using Extensions = std::vector<Extension>;
/// The same for what works on the server itself (standalone/controllers).
class Server;
using ServerExtension = std::function<Awaitable<void>(Server&, StopToken)>;

/// `args` without argv[0]; returns the exit code, after SIGTERM or SIGINT.
int run(std::vector<std::string> args);
int run(std::vector<std::string> args, Extensions extensions, std::vector<ServerExtension> server_extensions = {});

}  // namespace nodevirt::apiserver
