#include "pkg/base/async.hpp"

#include <cstdlib>
#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "pkg/base/log.hpp"
#include "pkg/base/way_back.hpp"

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
  auto way = WayBack::of(executor);
  auto initiate = [executor, way, work = std::move(work)](auto handler) mutable {
    way->promise();
    auto guard = asio::make_work_guard(executor);
    asio::post(pool(), [way, guard = std::move(guard), work = std::move(work), handler = std::move(handler)]() mutable {
      work();
      auto back = [&] {
        asio::post(guard.get_executor(), std::move(handler));
        guard.reset();
      };
      if (way->come_as_promised(back)) return;
      // Whatever the coroutine has may refer to what is gone: it is neither resumed nor taken down.
      new auto(std::move(handler));
      new auto(std::move(guard));
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(initiate), asio::use_awaitable);
}

}  // namespace nodevirt
