#include "pkg/runtime/signal.hpp"

#include <boost/asio/redirect_error.hpp>

namespace nodevirt::runtime {

namespace asio = boost::asio;

void Signal::notify_all() {
  auto waiters = std::move(waiters_);
  waiters_.clear();
  for (auto& timer : waiters) timer->cancel();
}

void Signal::notify_one() {
  if (waiters_.empty()) return;
  auto timer = waiters_.front();
  waiters_.pop_front();
  timer->cancel();
}

Awaitable<void> Signal::wait(StopToken stop) {
  if (stop.stop_requested()) co_return;
  auto executor = co_await asio::this_coro::executor;
  auto timer = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
  waiters_.push_back(timer);
  {
    auto wake = [timer] { timer->cancel(); };
    std::stop_callback<decltype(wake)> on_stop(stop, wake);
    boost::system::error_code ec;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ec));
  }
  waiters_.remove(timer);
}

Awaitable<void> Gate::drained() {
  StopToken never;
  while (inside_ > 0) co_await empty_.wait(never);
}

}  // namespace nodevirt::runtime
