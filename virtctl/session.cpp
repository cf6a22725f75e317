#include "virtctl/session.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include <boost/asio/io_context.hpp>

#include "pkg/k8s/status.hpp"

namespace nodevirt::virtctl {

namespace {

constexpr std::array<std::string_view, 8> kVmWords = {"vm", "vms", "virtualmachine", "virtualmachines",
                                                      "omv", "ovm", "ovms", "offlinevirtualmachine"};
constexpr std::array<std::string_view, 4> kVmiWords = {"vmi", "vmis", "virtualmachineinstance", "virtualmachineinstances"};

std::optional<Kind> kind_of(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  word = word.substr(0, word.find('.'));  // virtualmachines.kubevirt.io
  if (std::count(kVmWords.begin(), kVmWords.end(), word)) return Kind::VirtualMachine;
  if (std::count(kVmiWords.begin(), kVmiWords.end(), word)) return Kind::VirtualMachineInstance;
  return std::nullopt;
}

Awaitable<void> run_body(std::function<Awaitable<Result<void>>(Session&)> body, Session& session, int& code) {
  Result<void> done = co_await body(session);
  if (done.ok()) co_return;
  const Error& error = done.error();
  std::string hint = error.code == Code::Unauthenticated
                         ? fmt::format("Unauthorized: {} does not accept the credentials of user \"{}\": ",
                                       session.endpoint.server, session.endpoint.user)
                         : "";
  std::fprintf(stderr, "error: %s%s\n", hint.c_str(), error.message.c_str());
  code = 1;
}

}  // namespace

int with_session(const Globals& globals, std::function<Awaitable<Result<void>>(Session&)> body) {
  boost::asio::io_context io(1);
  Executor executor = io.get_executor();
  auto endpoint = client::load_kubeconfig({.path = globals.kubeconfig, .context = globals.context});
  if (!endpoint.ok()) {
    std::fprintf(stderr, "error: %s\n", endpoint.error().message.c_str());
    return 1;
  }
  auto transport = client::make_transport(executor, *endpoint);
  if (!transport.ok()) {
    std::fprintf(stderr, "error: %s\n", transport.error().message.c_str());
    return 1;
  }
  std::string ns = globals.ns.empty() ? endpoint->ns : globals.ns;
  Session session{executor, *endpoint, client::Client(*transport), ns.empty() ? "default" : ns};
  int code = 0;
  auto finish = [&io](std::exception_ptr failure) {
    io.stop();
    if (failure) std::rethrow_exception(failure);
  };
  boost::asio::co_spawn(executor, run_body(std::move(body), session, code), finish);
  io.run();
  return code;
}

Result<Target> parse_target(const std::vector<std::string>& words, Kind fallback) {
  if (words.empty() || words.size() > 2)
    return Error(Code::InvalidArgument, "expected NAME, TYPE NAME or TYPE/NAME");
  Target target{fallback, words.back()};
  std::string type = words.size() == 2 ? words[0] : "";
  if (auto slash = target.name.find('/'); slash != std::string::npos) {
    if (!type.empty()) return Error(Code::InvalidArgument, "expected NAME, TYPE NAME or TYPE/NAME");
    type = target.name.substr(0, slash);
    target.name = target.name.substr(slash + 1);
  }
  if (!type.empty()) {
    auto kind = kind_of(type);
    if (!kind) return Error(Code::InvalidArgument, fmt::format("unknown type \"{}\"; expected vm or vmi", type));
    target.kind = *kind;
  }
  if (target.name.empty()) return Error(Code::InvalidArgument, "the name is empty");
  return target;
}

std::string subresource_path(Kind kind, const std::string& ns, const std::string& name, const std::string& subresource) {
  return fmt::format("/apis/subresources.kubevirt.io/v1/namespaces/{}/{}/{}/{}", net::percent_encode(ns),
                     kind == Kind::VirtualMachine ? "virtualmachines" : "virtualmachineinstances",
                     net::percent_encode(name), subresource);
}

Awaitable<Result<net::Response>> exchange(Session& session, net::Request request) {
  NV_CO_TRY(net::Response answer, co_await session.client.raw(std::move(request)));
  if (answer.status < 200 || answer.status > 299) co_return k8s::error_of_response(answer.status, answer.body);
  co_return answer;
}

Awaitable<Result<net::Response>> put_subresource(Session& session, Kind kind, std::string name, std::string subresource,
                                                 Json body) {
  net::Request request;
  request.method = "PUT";
  request.target = subresource_path(kind, session.ns, name, subresource);
  request.headers.set("Content-Type", "application/json");
  request.body = dump_json(body);
  co_return co_await exchange(session, std::move(request));
}

}  // namespace nodevirt::virtctl
