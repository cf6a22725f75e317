#include "virt-launcher/guest.hpp"

#include <unistd.h>

#include "api/vmi.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/domain/domain.hpp"
#include "pkg/libvirt/domain_state.hpp"
#include "virt-launcher/dhcp/wanted.hpp"
#include "virt-launcher/marks.hpp"

namespace nodevirt::virt_launcher {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

NV_DECLARE_FAILPOINT(kAfterPrepare, "launcher-after-volumes-prepared");
NV_DECLARE_FAILPOINT(kAfterDefine, "launcher-after-domain-defined");
NV_DECLARE_FAILPOINT(kAfterStart, "launcher-after-domain-started");

Guest::Guest(Deps deps)
    : deps_(std::move(deps)), domain_name_(deps_.options.namespace_ + "_" + deps_.options.name),
      migration_({deps_.paths, domain_name_, [this](std::chrono::milliseconds timeout) { return domain(timeout); },
                  [this](std::function<void()> work, std::chrono::milliseconds delay) { deps_.queue.post(std::move(work), delay); },
                  [this](int fd) { deps_.monitor.keep(fd); }, MonitorLink::kept()},
                 target_hooks()),
      session_(deps_.paths.libvirt_uri(),
               {[this](Session::Connection c) {
                  deps_.queue.post([this, c] {
                    migration_.reconnected();
                    adopt(c);
                  });
                  warm_up(c);
                },
                [this](libvirt::DomainEvent e) {
                  if (e.domain == domain_name_) migration_.on_event(e);  // at once: a handover counts milliseconds
                  deps_.queue.post([this, e] { on_event(e); });
                }}) {}

Result<void> Guest::check_target(const std::string& uid) const {
  if (uid == deps_.options.uid) return {};
  return Error(Code::FailedPrecondition, "Conflict",
               fmt::format("this launcher runs the instance with uid {}, not {}", deps_.options.uid, uid));
}

Result<libvirt::Domain> Guest::domain(std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  for (auto until = Clock::now() + timeout;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    NV_TRY(Session::Connection c, session_.connection(std::max(left, 0ms)));
    auto found = c->lookup(domain_name_);
    if (found.ok() || c->alive()) return found;
    session_.broken(c);  // libvirtd was replaced in this moment
  }
}

Result<v1::DomainState> Guest::sync(const v1::SyncRequest& request) {
  if (request.vmi_json().size() > (4u << 20)) return Error(Code::InvalidArgument, "the instance is larger than 4 MiB");
  NV_TRY(Json raw, parse_json(request.vmi_json()));
  NV_TRY(api::Instance instance, api::decode_instance(raw));
  NV_TRY_VOID(check_target(instance.metadata.uid));

  if (migration_.target.waits())
    return Error(Code::FailedPrecondition, "MigrationTarget", "this pod waits for a guest that migrates");
  std::lock_guard action(action_mutex_);
  if (mark_exists(deps_.paths.shutdown_mark()))
    return Error(Code::FailedPrecondition, "ShutdownRequested", "the guest was told to shut down");
  if (mark_exists(deps_.paths.started_mark())) {
    auto d = domain();
    if (!d.ok() && d.error().code != Code::NotFound) return d.error();
    if (d.ok()) {
      NV_TRY(libvirt::StateAndReason s, d->state());
      if (s.active()) return state(false);
    }
    return Error(Code::FailedPrecondition, "GuestEnded", "the guest has ended; an instance runs once");
  }
  return start(request, raw, instance);
}

Result<v1::DomainState> Guest::start(const v1::SyncRequest& request, const Json& raw, const api::Instance& instance) {
  const v1::NodeOptions& node = request.node();
  write_mark(deps_.paths.sync_request(), request.SerializeAsString());
  NV_TRY(storage::PreparedVolumes volumes, storage::prepare_volumes(instance, raw, deps_.paths));
  NV_TRY(domain::Options options, prepare(node, instance, volumes));
  NV_TRY(std::string xml, domain::build_domain_xml(instance, options));

  // Images are made while libvirt works on the definition.
  NV_TRY(Session::Connection connection, session_.connection());
  NV_TRY(libvirt::Domain d, connection->define(xml));
  NV_FAILPOINT(kAfterDefine);
  NV_TRY(libvirt::StateAndReason before, d.state());
  if (!before.active()) {
    bool paused = node.start_paused() || instance.spec.start_strategy == "Paused";
    auto begun = volumes.finish();
    if (begun.ok()) {
      NV_FAILPOINT(kAfterPrepare);
      begun = d.start(paused);
      if (!begun.ok() && begun.error().reason.empty()) begun = Error(begun.error().code, "StartFailed", begun.error().message);
    }
    if (!begun.ok()) {
      if (auto undone = d.undefine(); !undone.ok()) log::warning("{}", undone.error().message);
      return begun.error();
    }
    NV_FAILPOINT(kAfterStart);
  }
  write_mark(deps_.paths.started_mark(), "");
  tell_monitor();
  // A QEMU that died before the mark was written was taken for a failed start.
  deps_.queue.post([this] { look_whether_ended(); });
  deps_.queue.post([this] { learn_versions(); }, 2s);
  deps_.queue.post([this] { bound_console_log(); }, 60s);
  log::info("the guest runs");
  return state(false);
}

// All that comes before the definition, of a guest that starts here as of one that comes from another pod.
Result<domain::Options> Guest::prepare(const v1::NodeOptions& node, const api::Instance& instance, const storage::PreparedVolumes& volumes) {
  domain::Options options;
  options.kvm = node.kvm();
  options.host_cpu_model = node.host_cpu_model();
  options.vhost_net = node.kvm() && ::access("/dev/vhost-net", R_OK | W_OK) == 0;
  options.socket_dir = deps_.paths.instance.string();
  for (auto& i : node.interfaces()) options.interfaces.push_back({i.name(), i.tap(), i.mac(), i.mtu()});
  NV_TRY_VOID(make_dirs(deps_.paths.instance, 0770));
  options.disks = volumes.disks;
  NV_TRY_VOID(start_dhcp(node, instance));
  return options;
}

Result<void> Guest::start_dhcp(const v1::NodeOptions& node, const api::Instance& instance) {
  {
    std::lock_guard lock(mutex_);
    node_ = node;
    if (dhcp_) return {};
  }
  std::vector<dhcp::Service> services;
  for (auto& i : node.interfaces()) {
    if (i.bridge().empty()) continue;
    dhcp::Service s{i.name(), i.bridge(), {}};
    dhcp::Lease& l = s.lease;
    NV_TRY(l.mac, dhcp::parse_mac(i.mac()));
    NV_TRY(l.ip, dhcp::parse_ip(i.guest_ip()));
    if (!i.gateway().empty()) { NV_TRY(l.gateway, dhcp::parse_ip(i.gateway())); }
    l.prefix = i.prefix() ? i.prefix() : 24;
    l.mtu = i.mtu();
    l.hostname = i.hostname();
    for (auto& text : i.dns())
      if (auto ip = dhcp::parse_ip(text); ip.ok()) l.dns.push_back(*ip);  // IPv6 servers cannot be told by DHCPv4
    l.search.assign(i.search().begin(), i.search().end());
    for (auto& r : i.routes()) {
      NV_TRY(dhcp::Route route, dhcp::parse_route(r.destination(), r.gateway()));
      l.routes.push_back(route);
    }
    for (auto& wanted : instance.spec.domain.devices.interfaces)
      if (wanted.name == i.name()) NV_TRY_VOID(dhcp::add_wanted_options(wanted, l));
    services.push_back(std::move(s));
  }
  if (services.empty()) return {};
  auto responder = dhcp::Responder::start(std::move(services));
  if (!responder.ok()) return responder.error().with_context("start the DHCP responder");
  std::lock_guard lock(mutex_);
  dhcp_ = std::move(*responder);
  return {};
}

void Guest::tell_monitor() {
  auto text = read_file(deps_.paths.qemu_pid_file(domain_name_), 64);
  int pid = text.ok() ? std::atoi(text->c_str()) : 0;
  if (pid > 1) deps_.monitor.qemu(pid);
}

// Before its first definition a libvirtd reads what it knows of QEMU: tens of milliseconds, in which a new pod's is asked for
// its guest.
void Guest::warm_up(Session::Connection connection) {
  if (mark_exists(deps_.paths.started_mark())) return;
  if (auto read = connection->domain_capabilities(); !read.ok()) log::debug("{}", read.error().message);
}

void Guest::adopt(Session::Connection connection) {
  deps_.queue.post([this] { learn_versions(); }, 2s);  // whoever starts a guest needs libvirtd now
  if (migration_.target.waits()) return adopt_dhcp();
  auto d = connection->lookup(domain_name_);
  if (!d.ok()) {
    if (d.error().code == Code::NotFound && mark_exists(deps_.paths.started_mark())) ended("Unknown");
    return;
  }
  auto s = d->state();
  if (!s.ok()) return log::warning("{}", s.error().message);
  if (!s->active()) {
    if (mark_exists(deps_.paths.started_mark()) || s->reason != 0) {
      std::string reason(libvirt::reason_word(s->state, s->reason));
      ended(reason);
    }
    return;
  }
  log::info("took over the running guest");
  if (!mark_exists(deps_.paths.started_mark())) write_mark(deps_.paths.started_mark(), "");
  tell_monitor();
  {
    std::lock_guard lock(mutex_);
    adopted_ = adopted_ || !dhcp_;
  }
  adopt_dhcp();
  publish("", "", "");
  if (mark_exists(deps_.paths.shutdown_mark())) press_again();
  deps_.queue.post([this] { bound_console_log(); }, 60s);
}

void Guest::adopt_dhcp() {
  {
    std::lock_guard lock(mutex_);
    if (dhcp_) return;
  }
  v1::SyncRequest saved;
  if (auto bytes = read_file(deps_.paths.sync_request(), 8u << 20); bytes.ok() && saved.ParseFromString(*bytes)) {
    auto raw = parse_json(saved.vmi_json());
    auto instance = raw.ok() ? api::decode_instance(*raw) : Result<api::Instance>(raw.error());
    auto dhcp = start_dhcp(saved.node(), instance.ok() ? *instance : api::Instance{});
    if (!dhcp.ok()) log::error("{}", dhcp.error().message);
  }
}

migration::TargetHooks Guest::target_hooks() {
  auto instance_of = [](const v1::PrepareTargetRequest& q) -> Result<std::pair<Json, api::Instance>> {
    NV_TRY(Json raw, parse_json(q.vmi_json()));
    NV_TRY(api::Instance instance, api::decode_instance(raw));
    return std::pair(std::move(raw), std::move(instance));
  };
  migration::TargetHooks hooks;
  hooks.check = [this](const std::string& uid) { return check_target(uid); };
  hooks.prepare = [this, instance_of](const v1::PrepareTargetRequest& q) -> Result<domain::Options> {
    NV_TRY(auto both, instance_of(q));
    std::lock_guard action(action_mutex_);
    v1::SyncRequest as_sync;
    as_sync.set_vmi_json(q.vmi_json());
    *as_sync.mutable_node() = q.node();
    write_mark(deps_.paths.sync_request(), as_sync.SerializeAsString());
    NV_TRY(storage::PreparedVolumes volumes, storage::prepare_volumes(both.second, both.first, deps_.paths));
    NV_TRY(domain::Options options, prepare(q.node(), both.second, volumes));
    NV_TRY_VOID(volumes.finish());
    return options;
  };
  hooks.definition = [instance_of](const v1::PrepareTargetRequest& q, const domain::Options& options) -> Result<std::string> {
    NV_TRY(auto both, instance_of(q));
    return domain::build_domain_xml(both.second, options);
  };
  hooks.taken_over = [this] { taken_over(); };
  hooks.forget = [this] {
    std::lock_guard action(action_mutex_);
    std::unique_ptr<dhcp::Responder> responder;
    {
      std::lock_guard lock(mutex_);
      responder = std::move(dhcp_);
    }
    std::error_code ec;
    for (const char* folder : {"disks", "empty", "cloud-init"}) fs::remove_all(deps_.paths.ephemeral / folder, ec);
  };
  return hooks;
}

// A guest that came from another pod is about to run: it has its lease already.
void Guest::taken_over() {
  {
    std::lock_guard lock(mutex_);
    adopted_ = true;
  }
  bool first = !mark_exists(deps_.paths.started_mark());
  write_mark(deps_.paths.started_mark(), "");
  tell_monitor();
  if (!first) return;
  deps_.queue.post([this] { learn_versions(); }, 2s);
  deps_.queue.post([this] { bound_console_log(); }, 60s);
}

}  // namespace nodevirt::virt_launcher
