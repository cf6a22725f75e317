#include "virt-launcher/session.hpp"

#include "pkg/base/log.hpp"
#include "pkg/libvirt/event_loop.hpp"

namespace nodevirt::virt_launcher {

using namespace std::chrono_literals;

Session::Session(std::string uri, Callbacks callbacks) : uri_(std::move(uri)), callbacks_(std::move(callbacks)) {
  libvirt::start_event_loop();
  thread_ = std::thread([this] { run(); });
}

Session::~Session() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

Result<Session::Connection> Session::connection(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, timeout, [&] { return (connection_ && !broken_) || stopping_; }) || !connection_)
    return Error(Code::Unavailable, fmt::format("the pod's libvirt daemon is not reachable: {}", last_failure_));
  return connection_;
}

void Session::broken(const Connection& connection) {
  std::lock_guard lock(mutex_);
  if (connection_ != connection) return;
  broken_ = true;
  changed_.notify_all();
}

bool Session::connect_once(std::string& failure) {
  auto c = libvirt::Connection::open(uri_);
  if (!c.ok()) {
    failure = c.error().message;
    return false;
  }
  auto shared = std::make_shared<libvirt::Connection>(std::move(*c));
  auto events = libvirt::DomainEvents::subscribe(*shared, callbacks_.event);
  auto closing = shared->on_close([this] {
    std::lock_guard lock(mutex_);
    broken_ = true;
    changed_.notify_all();
  });
  if (!events.ok() || !closing.ok()) {
    failure = (events.ok() ? closing.error() : events.error()).message;
    return false;
  }
  std::lock_guard lock(mutex_);
  events_ = std::move(*events);
  connection_ = shared;
  broken_ = false;
  changed_.notify_all();
  return true;
}

void Session::run() {
  // The daemon needs some 20 ms from its start; a failing connect costs microseconds.
  auto pause = 2ms;
  for (;;) {
    std::string failure;
    if (connect_once(failure)) {
      pause = 2ms;
      failures_ = 0;
      callbacks_.connected(connection_);
      // Let go outside of the lock: libvirt holds one of its own while it calls the close callback.
      std::unique_ptr<libvirt::DomainEvents> old_events;
      Connection old_connection;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return broken_ || stopping_; });
      old_connection = std::move(connection_);
      old_events = std::move(events_);
      last_failure_ = "the connection broke";
      bool stop = stopping_;
      lock.unlock();
      if (stop) return;
      log::warning("the connection to libvirtd broke; connecting again");
      continue;
    }
    std::unique_lock lock(mutex_);
    last_failure_ = failure;
    if (changed_.wait_for(lock, pause, [&] { return stopping_; })) return;
    if (pause < 4ms) pause += 1ms;
    else if (++failures_ > 1000) pause = 200ms;  // about four seconds of trying fast
  }
}

}  // namespace nodevirt::virt_launcher
