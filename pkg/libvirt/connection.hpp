// One connection to a libvirt daemon (or to libvirt's test driver).
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "pkg/base/result.hpp"
#include "pkg/libvirt/domain.hpp"

struct _virConnect;

namespace nodevirt::libvirt {

/// Owns a virConnectPtr. Thread-safe, as libvirt is. Calls block for as long as the daemon takes.
class Connection {
 public:
  /// `uri` as "qemu+unix:///session?socket=/path" or "test:///default".
  static Result<Connection> open(const std::string& uri);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  /// `closed` is called once, on the event loop's thread, when the connection breaks; never after the
  /// Connection is gone. It must not block.
  Result<void> on_close(std::function<void()> closed);
  /// The daemon counts as dead after `interval_seconds * count` of silence. Needs the event loop.
  Result<void> keep_alive(int interval_seconds, unsigned count);
  bool alive() const;

  /// NotFound when there is none of that name.
  Result<Domain> lookup(const std::string& name) const;
  /// Defines a persistent domain; replaces the definition of one with the same name and uuid.
  Result<Domain> define(const std::string& xml) const;
  /// Creates a transient domain and starts it.
  Result<Domain> create_transient(const std::string& xml) const;

  /// "9.0.0"
  Result<std::string> libvirt_version() const;
  Result<std::string> capabilities() const;
  /// Of one machine and type of virtualisation; the daemon chooses where they are empty.
  Result<std::string> domain_capabilities(const std::string& machine = "", const std::string& virt_type = "") const;

  _virConnect* get() const { return conn_; }

 private:
  explicit Connection(_virConnect* conn) : conn_(conn) {}
  _virConnect* conn_ = nullptr;
};

}  // namespace nodevirt::libvirt
