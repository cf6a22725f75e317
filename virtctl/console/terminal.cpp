#include "virtctl/console/terminal.hpp"

#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nodevirt::virtctl {

namespace asio = boost::asio;

RawMode::RawMode() {
  termios now;
  if (!::isatty(STDIN_FILENO) || ::tcgetattr(STDIN_FILENO, &now) != 0) return;
  saved_ = now;
  ::cfmakeraw(&now);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

RawMode::~RawMode() {
  if (saved_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*saved_);
}

struct Input::Impl {
  explicit Impl(Executor executor) : descriptor(executor) {}
  asio::posix::stream_descriptor descriptor;
  bool regular = false;   // files cannot be polled: they are read at once
  bool closed = false;
};

Input::Input(Executor executor) : impl_(std::make_shared<Impl>(executor)) {
  struct stat st {};
  impl_->regular = ::fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode);
  boost::system::error_code ec;
  if (!impl_->regular) {
    // A descriptor of our own: closing it leaves standard input to whoever comes after.
    int fd = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0) impl_->descriptor.assign(fd, ec);
    if (fd < 0 || ec) impl_->regular = true;  // not pollable (/dev/null)
    if (fd >= 0 && ec) ::close(fd);
  }
}

Input::~Input() { close(); }

void Input::close() {
  impl_->closed = true;
  boost::system::error_code ec;
  if (impl_->descriptor.is_open()) impl_->descriptor.cancel(ec);
}

Awaitable<std::string> Input::read() {
  auto impl = impl_;
  if (impl->closed) co_return "";
  std::string buffer(4096, '\0');
  if (impl->regular) {
    ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    buffer.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    co_return buffer;
  }
  boost::system::error_code ec;
  auto target = asio::buffer(buffer);
  std::size_t n = co_await impl->descriptor.async_read_some(target, asio::redirect_error(asio::use_awaitable, ec));
  buffer.resize(ec || impl->closed ? 0 : n);
  co_return buffer;
}

Progress::~Progress() { finish(); }

void Progress::show(const std::string& text) {
  if (text == last_) return;
  last_ = text;
  if (::isatty(STDERR_FILENO)) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    open_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

void Progress::finish() {
  if (open_) std::fputs("\r\033[K", stderr);
  open_ = false;
  last_.clear();
}

}  // namespace nodevirt::virtctl
