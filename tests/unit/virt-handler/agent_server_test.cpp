// Node agents: what they are told, and how a drain goes, over a real socket.
#include <catch2/catch.hpp>

#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <grpcpp/grpcpp.h>

#include "api/proto/node_agent.grpc.pb.h"
#include "pkg/base/clock.hpp"
#include "pkg/base/file.hpp"
#include "tests/support/memory_api.hpp"
#include "virt-handler/agent/agent_server.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

Awaitable<Result<std::shared_ptr<const api::Instance>>> no_instance(std::string, std::string, std::string) {
  co_return Error{Code::NotFound, "not asked for here"};
}

/// A virt-handler with one pod, on a thread of its own; the test is the agent.
struct Scene {
  boost::asio::io_context io{1};
  std::shared_ptr<testing::MemoryApi> api = std::make_shared<testing::MemoryApi>();
  client::Client client{api};
  TempDir dir{"vh"};
  runtime::Informer<InstanceObject> instances{client, system_clock(), {.resource = k8s::resources::kVirtualMachineInstances}};
  Launchers launchers{{.executor = io.get_executor(), .clock = system_clock(), .kubelet_root = dir.path(), .changed = [](std::string) {}, .instance = no_instance}};
  NodeView view{"node1", launchers, instances};
  bool drained = false;
  AgentServer server{{io.get_executor(), system_clock(), client, view, [] { return std::string("tcg"); }, [this](bool d) { drained = d; }}};
  StopSource stop;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard = boost::asio::make_work_guard(io);
  std::thread thread;
  std::shared_ptr<const PodObject> pod;
  std::unique_ptr<agent_v1::NodeAgent::Stub> agent;

  Scene() {
    Json object{{"metadata", {{"name", "virt-launcher-vm1"}, {"namespace", "default"}, {"uid", "aaaa"}, {"labels", {{"kubevirt.io/created-by", "bbbb"}}},
                              {"annotations", {{"kubevirt.io/domain", "vm1"}}}}},
                {"spec", {{"nodeName", "node1"}}}, {"status", {{"phase", "Running"}, {"podIP", "10.0.0.9"}}}};
    pod = std::make_shared<const PodObject>(*PodObject::decode(object));
    launchers.pod_changed(nullptr, pod);
    std::string path = (dir.path() / "agent.sock").string();
    REQUIRE(server.listen(path).ok());
    spawn(io.get_executor(), server.run(stop.get_token()), "agent server");
    thread = std::thread([this] { io.run(); });
    agent = agent_v1::NodeAgent::NewStub(grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials()));
  }
  ~Scene() {
    auto end = [this] {
      launchers.stop();
      stop.request_stop();
      guard.reset();
    };
    boost::asio::post(io, end);
    thread.join();
  }
  void pod_goes() {
    auto go = [this] {
      launchers.pod_changed(pod, nullptr);
      server.changed(*launchers.of_instance("bbbb"), "", "", true);
    };
    boost::asio::post(io, go);
  }
};

}  // namespace

TEST_CASE("an agent asks who is there") {
  Scene scene;
  grpc::ClientContext first, second;
  agent_v1::InfoResponse info;
  REQUIRE(scene.agent->Info(&first, {}, &info).ok());
  CHECK(info.max_version() == 1);
  CHECK(info.node() == "node1");
  CHECK(info.accelerator() == "tcg");
  agent_v1::ListResponse list;
  REQUIRE(scene.agent->List(&second, {}, &list).ok());
  REQUIRE(list.instances_size() == 1);
  CHECK(list.instances(0).name() == "vm1");
  CHECK(list.instances(0).pod_ip() == "10.0.0.9");
  CHECK_FALSE(list.instances(0).launcher_connected());
}

TEST_CASE("an agent follows what happens") {
  Scene scene;
  grpc::ClientContext context;
  auto stream = scene.agent->Events(&context, {});
  agent_v1::Event event;
  REQUIRE(stream->Read(&event));
  CHECK(event.kind() == agent_v1::Event::CURRENT);
  CHECK(event.instance().uid() == "bbbb");
  scene.pod_goes();
  REQUIRE(stream->Read(&event));
  CHECK(event.kind() == agent_v1::Event::GONE);
  context.TryCancel();
  CHECK_FALSE(stream->Read(&event));
  CHECK(stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
}

TEST_CASE("a drain evicts, waits, and says when nobody is left") {
  Scene scene;
  grpc::ClientContext context;
  auto stream = scene.agent->Drain(&context, {});
  agent_v1::DrainProgress progress;
  REQUIRE(stream->Read(&progress));
  // The API server in memory knows no evictions of a pod that it has not: what it answers is passed on.
  CHECK((progress.state() == agent_v1::DrainProgress::ASKED || progress.state() == agent_v1::DrainProgress::REFUSED));
  CHECK(progress.instance().name() == "vm1");
  scene.pod_goes();
  REQUIRE(stream->Read(&progress));
  CHECK(progress.state() == agent_v1::DrainProgress::GONE);
  REQUIRE(stream->Read(&progress));
  CHECK(progress.state() == agent_v1::DrainProgress::DONE);
  CHECK_FALSE(stream->Read(&progress));
  CHECK(stream->Finish().ok());
  CHECK(scene.drained);
}
