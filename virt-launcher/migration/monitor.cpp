#include "virt-launcher/migration/monitor.hpp"

#include <algorithm>
#include <sys/socket.h>

namespace nodevirt::virt_launcher::migration {

using std::chrono::milliseconds;

constexpr milliseconds kOnTheLine{1000};  // a main thread that does not answer by then may not for a long time

std::unique_lock<std::mutex> Monitor::hold() {
  std::unique_lock lock(mutex_);
  drop_line();
  return lock;
}

Result<Json> Monitor::execute(std::string_view command, const Json& arguments, milliseconds timeout) {
  std::lock_guard lock(mutex_);
  if (line_) {
    auto answer = line_->execute(command, arguments, std::min(timeout, kOnTheLine));
    if (answer.ok() || !line_->closed()) return answer;
    drop_line();
  }
  NV_TRY(libvirt::QmpClient client, libvirt::QmpClient::connect(path_, timeout));
  return client.execute(command, arguments, timeout);
}

Result<void> Monitor::open_line(milliseconds timeout) {
  std::lock_guard lock(mutex_);
  if (line_) {
    auto events = line_->drain_events();
    if (!line_->closed()) return {};
    drop_line();
  }
  NV_TRY(libvirt::QmpClient client, libvirt::QmpClient::connect(path_, timeout, true));
  line_.emplace(std::move(client));
  if (keep_) keep_(line_->fd());
  return {};
}

void Monitor::adopt_line(Fd fd) {
  std::lock_guard lock(mutex_);
  if (fd) line_.emplace(libvirt::QmpClient::adopt(std::move(fd)));
}

void Monitor::close_line() {
  std::lock_guard lock(mutex_);
  drop_line();
}

Result<Json> Monitor::execute_out_of_band(std::string_view command, const Json& arguments, milliseconds timeout) {
  std::lock_guard lock(mutex_);
  if (!line_) return Error(Code::Unavailable, "no line to QEMU");
  auto answer = line_->execute_out_of_band(command, arguments, timeout);
  if (line_->closed()) drop_line();
  return answer;
}

void Monitor::drop_line() {
  if (!line_) return;
  ::shutdown(line_->fd(), SHUT_RDWR);  // whoever else has it: QEMU waits for the next connection now
  line_.reset();
  if (keep_) keep_(-1);
}

}  // namespace nodevirt::virt_launcher::migration
