// A node agent: asks virt-handler's local service what runs on this node. See docs/node-agent.md.
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "node_agent.grpc.pb.h"

namespace v1 = nodevirt::nodeagent::v1;

namespace {

std::ostream& operator<<(std::ostream& out, const v1::Instance& instance) {
  out << instance.namespace_() << '/' << instance.name() << "  " << (instance.phase().empty() ? "-" : instance.phase());
  if (!instance.domain_state().empty()) out << "  " << instance.domain_state();
  if (!instance.pod_ip().empty()) out << "  " << instance.pod_ip();
  return out;
}

int list(v1::NodeAgent::Stub& agent) {
  grpc::ClientContext context;
  v1::ListResponse answer;
  grpc::Status status = agent.List(&context, {}, &answer);
  for (const v1::Instance& instance : answer.instances()) std::cout << instance << '\n';
  if (!status.ok()) std::cerr << "list: " << status.error_message() << '\n';
  return status.ok() ? 0 : 1;
}

int statistics(v1::NodeAgent::Stub& agent) {
  grpc::ClientContext context;
  v1::StatisticsResponse answer;
  grpc::Status status = agent.Statistics(&context, {}, &answer);
  for (const v1::InstanceStatistics& item : answer.instances()) {
    std::cout << item.instance() << "\n  processor " << item.cpu_time_ns() / 1000000 << " ms, memory " << (item.memory_rss_bytes() >> 20) << " MiB\n";
    for (const auto& disk : item.disks()) std::cout << "  " << disk.name() << ": read " << disk.read_bytes() << ", written " << disk.write_bytes() << '\n';
    for (const auto& net : item.interfaces()) std::cout << "  " << net.name() << ": received " << net.rx_bytes() << ", sent " << net.tx_bytes() << '\n';
  }
  if (!status.ok()) std::cerr << "statistics: " << status.error_message() << '\n';
  return status.ok() ? 0 : 1;
}

/// Until interrupted, or until virt-handler goes away.
int events(v1::NodeAgent::Stub& agent) {
  grpc::ClientContext context;
  auto stream = agent.Events(&context, {});
  for (v1::Event event; stream->Read(&event);) {
    std::cout << v1::Event::Kind_Name(event.kind()) << "  " << event.instance();
    if (!event.lifecycle().empty()) std::cout << "  " << event.lifecycle();
    if (!event.message().empty()) std::cout << "  (" << event.message() << ')';
    std::cout << std::endl;
  }
  grpc::Status status = stream->Finish();
  if (!status.ok()) std::cerr << "events: " << status.error_message() << '\n';
  return status.ok() ? 0 : 1;
}

int drain(v1::NodeAgent::Stub& agent) {
  grpc::ClientContext context;
  auto stream = agent.Drain(&context, {});
  for (v1::DrainProgress progress; stream->Read(&progress);) {
    std::cout << v1::DrainProgress::State_Name(progress.state());
    if (progress.has_instance()) std::cout << "  " << progress.instance();
    if (!progress.message().empty()) std::cout << "  " << progress.message();
    std::cout << std::endl;
  }
  grpc::Status status = stream->Finish();
  if (!status.ok()) std::cerr << "drain: " << status.error_message() << '\n';
  return status.ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<int(v1::NodeAgent::Stub&)>> verbs{
      {"list", list}, {"statistics", statistics}, {"events", events}, {"drain", drain}};
  auto verb = argc == 3 ? verbs.find(argv[2]) : verbs.end();
  if (verb == verbs.end()) {
    std::cerr << "usage: node-agent-client SOCKET list|statistics|events|drain\n";
    return 2;
  }
  auto channel = grpc::CreateChannel(std::string("unix:") + argv[1], grpc::InsecureChannelCredentials());
  std::unique_ptr<v1::NodeAgent::Stub> agent = v1::NodeAgent::NewStub(channel);
  grpc::ClientContext context;
  v1::InfoResponse info;
  if (grpc::Status status = agent->Info(&context, {}, &info); !status.ok()) {
    std::cerr << "ask " << argv[1] << ": " << status.error_message() << '\n';
    return 1;
  }
  if (info.min_version() > 1) {
    std::cerr << "virt-handler speaks only version " << info.min_version() << " and later; this client knows 1\n";
    return 1;
  }
  std::cout << "node " << info.node() << ", accelerator " << (info.accelerator().empty() ? "not known yet" : info.accelerator()) << '\n';
  return verb->second(*agent);
}
