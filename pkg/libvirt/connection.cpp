#include "pkg/libvirt/connection.hpp"

#include <cstdlib>

#include <libvirt/libvirt.h>

#include "pkg/libvirt/error.hpp"

namespace nodevirt::libvirt {

namespace {

std::string version_text(unsigned long v) {
  return fmt::format("{}.{}.{}", v / 1000000, v / 1000 % 1000, v % 1000);
}

Result<std::string> take(char* text, std::string_view context) {
  if (!text) return last_error(context);
  std::string out(text);
  std::free(text);
  return out;
}

}  // namespace

Result<Connection> Connection::open(const std::string& uri) {
  silence_default_error_printing();
  virConnectPtr c = virConnectOpen(uri.c_str());
  if (!c) return last_error("connect to " + uri);
  return Connection(c);
}

Connection::Connection(Connection&& o) noexcept : conn_(std::exchange(o.conn_, nullptr)) {}

Connection& Connection::operator=(Connection&& o) noexcept {
  std::swap(conn_, o.conn_);
  return *this;
}

Connection::~Connection() {
  if (!conn_) return;
  virConnectUnregisterCloseCallback(conn_, nullptr);
  virConnectClose(conn_);
}

Result<void> Connection::on_close(std::function<void()> closed) {
  auto* f = new std::function<void()>(std::move(closed));
  int rc = virConnectRegisterCloseCallback(
      conn_, [](virConnectPtr, int, void* opaque) { (*static_cast<std::function<void()>*>(opaque))(); }, f,
      [](void* opaque) { delete static_cast<std::function<void()>*>(opaque); });
  if (rc < 0) {
    Error e = last_error("watch the connection");
    delete f;
    return e;
  }
  return {};
}

Result<void> Connection::keep_alive(int interval_seconds, unsigned count) {
  if (virConnectSetKeepAlive(conn_, interval_seconds, count) < 0) return last_error("set keepalive");
  return {};
}

bool Connection::alive() const { return virConnectIsAlive(conn_) == 1; }

Result<Domain> Connection::lookup(const std::string& name) const {
  virDomainPtr d = virDomainLookupByName(conn_, name.c_str());
  if (!d) return last_error("look up domain " + name);
  return Domain(d);
}

Result<Domain> Connection::define(const std::string& xml) const {
  virDomainPtr d = virDomainDefineXML(conn_, xml.c_str());
  if (!d) return last_error("define the domain");
  return Domain(d);
}

Result<Domain> Connection::create_transient(const std::string& xml) const {
  virDomainPtr d = virDomainCreateXML(conn_, xml.c_str(), 0);
  if (!d) return last_error("create the domain");
  return Domain(d);
}

Result<std::string> Connection::libvirt_version() const {
  unsigned long v = 0;
  if (virConnectGetLibVersion(conn_, &v) < 0) return last_error("read libvirt's version");
  return version_text(v);
}

Result<std::string> Connection::capabilities() const {
  return take(virConnectGetCapabilities(conn_), "read the host's capabilities");
}

Result<std::string> Connection::domain_capabilities(const std::string& machine, const std::string& virt_type) const {
  auto given = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
  return take(virConnectGetDomainCapabilities(conn_, nullptr, nullptr, given(machine), given(virt_type), 0),
              "read domain capabilities");
}

}  // namespace nodevirt::libvirt
