// Coroutines: Awaitable<T>, how they are stopped, and the clock they wait by.
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "pkg/base/result.hpp"

namespace nodevirt {

template <class T>
using Awaitable = boost::asio::awaitable<T>;
using Executor = boost::asio::any_io_executor;

/// `stop()` is StopSource::request_stop, may be called twice, and is called on the io_context's thread.
using StopToken = std::stop_token;
using StopSource = std::stop_source;
using namespace std::chrono_literals;

/// Starts a coroutine nobody waits for. An exception that leaves it is a bug and aborts the
/// program with `name` and the exception's text.
void spawn(const Executor& executor, Awaitable<void> task, std::string name);

/// Runs blocking work (files, SQLite, libvirt, child processes) on a small process-wide thread pool
/// and resumes the caller on its own executor. `work` must not throw.
Awaitable<void> run_blocking(std::function<void()> work);

/// As run_blocking, for work with a value.
template <class F>
auto blocking(F work) -> Awaitable<decltype(work())> {
  std::optional<decltype(work())> out;
  auto task = [&out, &work] { out.emplace(work()); };
  std::function<void()> fn = task;
  co_await run_blocking(std::move(fn));
  co_return std::move(*out);
}

}  // namespace nodevirt
