// What every command needs: the global flags, and the way to the server.
#pragma once
#include <functional>
#include <string>

#include "pkg/client/client.hpp"
#include "pkg/client/kubeconfig.hpp"

namespace nodevirt::virtctl {

struct Globals {
  std::string kubeconfig, context, ns;
};

/// A connection to the server that the kubeconfig names.
struct Session {
  Executor executor;
  client::Endpoint endpoint;
  client::Client client;
  std::string ns;          ///< --namespace, or the context's
};

/// Runs one command on an io_context of its own: loads the kubeconfig, calls `body`, prints an error to
/// stderr as "error: ..."; the exit code.
int with_session(const Globals& globals, std::function<Awaitable<Result<void>>(Session&)> body);

/// What people put before a name: vm, virtualmachine(s), omv, ovm, vmi, ... ("vm/NAME" too).
enum class Kind { VirtualMachine, VirtualMachineInstance };
struct Target {
  Kind kind = Kind::VirtualMachine;
  std::string name;
};
/// From the positional words of a command: NAME, TYPE NAME or TYPE/NAME.
Result<Target> parse_target(const std::vector<std::string>& words, Kind fallback);

/// /apis/subresources.kubevirt.io/v1/namespaces/NS/<plural>/NAME/<subresource>
std::string subresource_path(Kind kind, const std::string& ns, const std::string& name, const std::string& subresource);
/// One request to any path of the server; an answer other than 2xx becomes the error that its Status tells.
Awaitable<Result<net::Response>> exchange(Session& session, net::Request request);
/// PUTs a JSON body to a subresource.
Awaitable<Result<net::Response>> put_subresource(Session& session, Kind kind, std::string name, std::string subresource,
                                                 Json body);

}  // namespace nodevirt::virtctl
