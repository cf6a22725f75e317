// What a domain tells about itself: statistics, addresses, the guest agent's answers, its screen.
#include <cstdlib>

#include <libvirt/libvirt.h>

#include "pkg/libvirt/domain.hpp"
#include "pkg/libvirt/error.hpp"
#include "pkg/libvirt/parameters.hpp"

namespace nodevirt::libvirt {

Parameters to_parameters(const virTypedParameter* params, int count) {
  Parameters out;
  for (int i = 0; i < count; ++i) {
    const virTypedParameter& p = params[i];
    switch (p.type) {
      case VIR_TYPED_PARAM_INT: out.numbers[p.field] = static_cast<std::uint64_t>(p.value.i); break;
      case VIR_TYPED_PARAM_UINT: out.numbers[p.field] = p.value.ui; break;
      case VIR_TYPED_PARAM_LLONG: out.numbers[p.field] = static_cast<std::uint64_t>(p.value.l); break;
      case VIR_TYPED_PARAM_ULLONG: out.numbers[p.field] = p.value.ul; break;
      case VIR_TYPED_PARAM_BOOLEAN: out.numbers[p.field] = p.value.b != 0; break;
      case VIR_TYPED_PARAM_STRING: out.texts[p.field] = p.value.s ? p.value.s : ""; break;
      default: break;
    }
  }
  return out;
}

std::uint64_t Parameters::number(const std::string& key, std::uint64_t fallback) const {
  auto it = numbers.find(key);
  return it == numbers.end() ? fallback : it->second;
}

std::string Parameters::text(const std::string& key) const {
  auto it = texts.find(key);
  return it == texts.end() ? "" : it->second;
}

int Domain::process_id() const {
  unsigned id = virDomainGetID(domain_);
  return id == static_cast<unsigned>(-1) ? 0 : static_cast<int>(id);
}

Result<Parameters> Domain::stats() const {
  virDomainPtr one[] = {domain_, nullptr};
  virDomainStatsRecordPtr* records = nullptr;
  int n = virDomainListGetStats(one, 0, &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (n < 0) return last_error("read statistics of domain " + name());
  Parameters out;
  if (n > 0) out = to_parameters(records[0]->params, records[0]->nparams);
  virDomainStatsRecordListFree(records);
  return out;
}

Result<std::vector<InterfaceAddresses>> Domain::interface_addresses(bool from_agent) const {
  virDomainInterfacePtr* list = nullptr;
  unsigned source = from_agent ? VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT : VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP;
  int n = virDomainInterfaceAddresses(domain_, &list, source, 0);
  if (n < 0) return last_error("read the addresses of domain " + name());
  std::vector<InterfaceAddresses> out;
  for (int i = 0; i < n; ++i) {
    InterfaceAddresses a;
    a.name = list[i]->name ? list[i]->name : "";
    a.mac = list[i]->hwaddr ? list[i]->hwaddr : "";
    for (unsigned k = 0; k < list[i]->naddrs && k < 64; ++k) a.addresses.emplace_back(list[i]->addrs[k].addr);
    out.push_back(std::move(a));
    virDomainInterfaceFree(list[i]);
  }
  std::free(list);
  return out;
}

Result<Parameters> Domain::guest_info() const {
  virTypedParameterPtr params = nullptr;
  int count = 0;
  virDomainAgentSetResponseTimeout(domain_, 5, 0);
  if (virDomainGetGuestInfo(domain_, 0, &params, &count, 0) < 0)
    return last_error("ask the guest agent of domain " + name());
  Parameters out = to_parameters(params, count);
  virTypedParamsFree(params, count);
  return out;
}

namespace {
struct Sink {
  std::string data;
  std::size_t limit;
};
int receive(virStreamPtr, const char* data, std::size_t n, void* opaque) {
  auto* sink = static_cast<Sink*>(opaque);
  if (sink->data.size() + n > sink->limit) return -1;
  sink->data.append(data, n);
  return static_cast<int>(n);
}
}  // namespace

Result<std::string> Domain::screenshot(std::size_t max_bytes) const {
  virStreamPtr stream = virStreamNew(virDomainGetConnect(domain_), 0);
  if (!stream) return last_error("open a stream");
  char* mime = virDomainScreenshot(domain_, stream, 0, 0);
  if (!mime) {
    Error e = last_error("take a screenshot of domain " + name());
    virStreamFree(stream);
    return e;
  }
  std::free(mime);
  Sink sink{{}, max_bytes};
  int rc = virStreamRecvAll(stream, receive, &sink);
  Result<std::string> out;
  if (rc < 0) out = last_error("read the screenshot of domain " + name());
  else if (virStreamFinish(stream) < 0) out = last_error("finish the screenshot of domain " + name());
  else out = std::move(sink.data);
  virStreamFree(stream);
  return out;
}

}  // namespace nodevirt::libvirt
