#include "pkg/base/async.hpp"

#include <cstdlib>
#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "pkg/base/log.hpp"

namespace nodevirt {

namespace asio = boost::asio;

void spawn(const Executor& executor, Awaitable<void> task, std::string name) {
  asio::co_spawn(executor, std::move(task), [name = std::move(name)](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      log::error("task {} ended with an exception: {}", name, e.what());
    } catch (...) {
      log::error("task {} ended with an unknown exception", name);
    }
    std::abort();
  });
}

namespace {

// Never destroyed: work may still be running when main returns.
asio::thread_pool& pool() {
  static auto* threads = new asio::thread_pool(4);
  return *threads;
}

}  // namespace

Awaitable<void> run_blocking(std::function<void()> work) {
  auto executor = co_await asio::this_coro::executor;
  auto initiate = [executor, work = std::move(work)](auto handler) mutable {
    auto guard = asio::make_work_guard(executor);
    asio::post(pool(), [guard = std::move(guard), work = std::move(work), handler = std::move(handler)]() mutable {
      work();
      asio::post(guard.get_executor(), std::move(handler));
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(initiate), asio::use_awaitable);
}

}  // namespace nodevirt
