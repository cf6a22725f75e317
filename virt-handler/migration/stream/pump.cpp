#include "virt-handler/migration/stream/pump.hpp"

#include <csignal>
#include <cstring>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <openssl/ssl.h>

#include "virt-handler/migration/stream/patience.hpp"
#include "virt-handler/migration/stream/pump_direction.hpp"
#include "virt-handler/migration/stream/send_queue.hpp"

namespace nodevirt::virt_handler::migration {

using Wait = Direction::Wait;

constexpr std::chrono::milliseconds kSilent{6000};  // an idle connection is asked every 3 s (watch_peer)

/// Lives on the pump's thread.
class PumpLoop {
 public:
  PumpLoop(std::shared_ptr<Pump> pump, net::FdStream::Raw node, int pod, Pump::Counter from_pod)
      : pump_(std::move(pump)), raw_(std::move(node)), to_link_(raw_.fd), link_(raw_.fd), counter_(std::move(from_pod)) {
    PumpEnd node_end{raw_.fd, raw_.ssl}, pod_end{pod, nullptr};
    if (raw_.ssl) {
      SSL_clear_mode(raw_.ssl, SSL_MODE_RELEASE_BUFFERS);
      SSL_set_read_ahead(raw_.ssl, 1);
      SSL_set_default_read_buffer_len(raw_.ssl, kPumpBuffer);
    }
    to_pod_ = buffered_direction(node_end, pod_end, std::move(raw_.ahead));
    from_pod_ = buffered_direction(pod_end, node_end, "");
  }

  Pump::Totals run() {
    Pump::Totals totals;
    Wait in = Wait::None, out = Wait::None;
    while (!pump_->aborted_ && !(in == Wait::Done && out == Wait::Done)) {
      if (in == Wait::None) in = burst(*to_pod_, totals.to_pod);
      if (out == Wait::None) {
        std::uint64_t before = totals.from_pod;
        out = burst(*from_pod_, totals.from_pod);
        if (counter_) counter_->fetch_add(totals.from_pod - before, std::memory_order_relaxed);
        to_link_.follow();
      }
      if (in == Wait::Failed || out == Wait::Failed) {
        totals.error = in == Wait::Failed ? to_pod_->error() : from_pod_->error();
        break;
      }
      bool over = in == Wait::Done && out == Wait::Done;
      if (!over && in != Wait::None && out != Wait::None) wait(in, out);
      if (pump_->patient_) pump_->silent_ = link_.look() >= kSilent;
    }
    if (pump_->aborted_ && totals.error.empty() && !(in == Wait::Done && out == Wait::Done)) totals.error = "ended from this side";
    close();
    return totals;
  }

 private:
  /// A few steps before the other direction has its turn.
  static Wait burst(Direction& direction, std::uint64_t& moved) {
    Wait now = Wait::None;
    for (int i = 0; i < 8 && now == Wait::None; ++i) now = direction.step(moved);
    return now;
  }

  /// `to_pod` has the node as its source, `from_pod` has the pod.
  void wait(Wait& in, Wait& out) {
    pollfd node{raw_.fd, 0, 0}, pod{pump_->pod_fd_, 0, 0};
    auto want = [](Wait what, pollfd& source, pollfd& sink) {
      if (what == Wait::ReadableSource) source.events |= POLLIN;
      if (what == Wait::WritableSource) source.events |= POLLOUT;
      if (what == Wait::ReadableSink) sink.events |= POLLIN;
      if (what == Wait::WritableSink) sink.events |= POLLOUT;
    };
    want(in, node, pod);
    want(out, pod, node);
    // An end that nobody waits for must not wake us with its hang-up again and again.
    if (node.events == 0) node.fd = -1;
    if (pod.events == 0) pod.fd = -1;
    pollfd both[2] = {node, pod};
    if (poll(both, 2, 1000) < 0) return;
    auto ready = [&](Wait what, const pollfd& source, const pollfd& sink) {
      constexpr short kGone = POLLERR | POLLHUP | POLLNVAL;
      switch (what) {
        case Wait::ReadableSource: return (source.revents & (POLLIN | kGone)) != 0;
        case Wait::WritableSource: return (source.revents & (POLLOUT | kGone)) != 0;
        case Wait::ReadableSink: return (sink.revents & (POLLIN | kGone)) != 0;
        case Wait::WritableSink: return (sink.revents & (POLLOUT | kGone)) != 0;
        default: return false;
      }
    };
    if (ready(in, both[0], both[1])) in = Wait::None;
    if (ready(out, both[1], both[0])) out = Wait::None;
  }

  void close() {
    std::lock_guard lock(pump_->mutex_);
    SSL_free(raw_.ssl);
    ::close(raw_.fd);
    ::close(pump_->pod_fd_);
    pump_->node_fd_ = pump_->pod_fd_ = -1;
  }

  std::shared_ptr<Pump> pump_;
  net::FdStream::Raw raw_;
  SendQueue to_link_;
  PatientConnection link_;
  Pump::Counter counter_;
  std::unique_ptr<Direction> to_pod_, from_pod_;
};

std::shared_ptr<Pump> Pump::start(net::FdStream::Raw node, int pod_fd, std::function<void(const Totals&)> ended, Counter from_pod) {
  std::shared_ptr<Pump> pump(new Pump(node.fd, pod_fd));
  auto work = [pump, node = std::move(node), pod_fd, ended = std::move(ended), from_pod = std::move(from_pod)]() mutable {
    Totals totals;
    {
      PumpLoop loop(std::move(pump), std::move(node), pod_fd, std::move(from_pod));
      totals = loop.run();
    }
    if (ended) ended(totals);
  };
  // The program's signals are for its main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(work));
  pthread_setname_np(thread.native_handle(), "migration");
  thread.detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pump;
}

void Pump::abort() {
  aborted_ = true;
  std::lock_guard lock(mutex_);
  if (node_fd_ >= 0) ::shutdown(node_fd_, SHUT_RDWR);
  if (pod_fd_ >= 0) ::shutdown(pod_fd_, SHUT_RDWR);
}

}  // namespace nodevirt::virt_handler::migration
