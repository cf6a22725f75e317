#include "virt-handler/instances/wait_file.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>

namespace nodevirt::virt_handler {
namespace {

namespace asio = boost::asio;

bool file_exists(const std::filesystem::path& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

/// Returns on the first notice, or when stopped.
Awaitable<void> next_notice(std::shared_ptr<asio::posix::stream_descriptor> notices, StopToken stop) {
  auto cancel = [notices] {
    boost::system::error_code ignored;
    notices->cancel(ignored);
  };
  std::stop_callback on_stop(stop, cancel);
  if (stop.stop_requested()) co_return;
  alignas(inotify_event) char buffer[4096];
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  auto space = asio::buffer(buffer);
  co_await notices->async_read_some(space, token);
}

}  // namespace

Awaitable<bool> wait_for_file(std::filesystem::path dir, std::string name, Clock& clock, StopToken stop) {
  std::filesystem::path wanted = dir / name;
  Clock::Duration pause = 5ms;
  while (!stop.stop_requested()) {
    if (file_exists(wanted)) co_return true;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && inotify_add_watch(fd, dir.c_str(), IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF) >= 0) {
      Executor executor = co_await asio::this_coro::executor;
      auto notices = std::make_shared<asio::posix::stream_descriptor>(executor, fd);
      while (!stop.stop_requested() && file_exists(dir)) {
        if (file_exists(wanted)) co_return true;
        co_await next_notice(notices, stop);
      }
      continue;
    }
    if (fd >= 0) close(fd);
    co_await clock.sleep(pause, stop);
    pause = std::min<Clock::Duration>(pause * 2, 500ms);
  }
  co_return false;
}

}  // namespace nodevirt::virt_handler
