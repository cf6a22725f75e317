#include "pkg/base/async.hpp"

#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>

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

/// How long the end of an io_context waits for work that one of its coroutines awaits.
constexpr auto kEndOfContext = 1s;

/// An io_context's part of the pool's work, so that nothing comes back to one that is gone.
class PoolWork : public asio::execution_context::service {
 public:
  using key_type = PoolWork;
  static inline asio::execution_context::id id;
  struct State {
    std::mutex mutex;
    std::condition_variable less;
    std::size_t running = 0;
    bool closed = false;
  };
  explicit PoolWork(asio::execution_context& context) : service(context) {}
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  void shutdown() override {
    std::unique_lock lock(state_->mutex);
    state_->less.wait_for(lock, kEndOfContext, [this] { return state_->running == 0; });
    state_->closed = true;
  }
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace

Awaitable<void> run_blocking(std::function<void()> work) {
  auto executor = co_await asio::this_coro::executor;
  auto state = asio::use_service<PoolWork>(asio::query(executor, asio::execution::context_as<asio::execution_context&>)).state();
  auto initiate = [executor, state, work = std::move(work)](auto handler) mutable {
    {
      std::lock_guard lock(state->mutex);
      ++state->running;
    }
    auto guard = asio::make_work_guard(executor);
    asio::post(pool(), [state, guard = std::move(guard), work = std::move(work), handler = std::move(handler)]() mutable {
      work();
      std::lock_guard lock(state->mutex);
      --state->running;
      state->less.notify_all();
      if (!state->closed) {
        asio::post(guard.get_executor(), std::move(handler));
        guard.reset();
      } else {
        // Whatever the coroutine has may refer to what is gone: it is neither resumed nor taken down.
        new auto(std::move(handler));
        new auto(std::move(guard));
      }
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(initiate), asio::use_awaitable);
}

}  // namespace nodevirt
