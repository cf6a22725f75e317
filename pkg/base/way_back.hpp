// The way back to an io_context for threads that are not its own: it may be gone by the time they come.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

#include "pkg/base/async.hpp"

namespace nodevirt {

/// One per io_context, kept by whoever may come back. Thread-safe.
class WayBack {
 public:
  /// Of the executor's io_context, on a thread that knows it to be there: one of its coroutines.
  static std::shared_ptr<WayBack> of(const Executor& executor);

  /// Runs `post`, which may post to the io_context and no more. False, and nothing run: the io_context is gone, or ends just
  /// now. Then nothing that belongs to its coroutines (executors, work guards, handlers) may be used or destroyed any more.
  template <class Post>
  bool come(Post&& post) {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    post();
    return true;
  }

  /// Whoever promises to come is waited for at the io_context's end, for at most a second.
  void promise();
  /// As come(); it keeps one promise.
  template <class Post>
  bool come_as_promised(Post&& post) {
    std::lock_guard lock(mutex_);
    --promised_;
    kept_.notify_all();
    if (closed_) return false;
    post();
    return true;
  }

 private:
  class Service;
  void close();
  std::mutex mutex_;
  std::condition_variable kept_;
  std::size_t promised_ = 0;
  bool closed_ = false;
};

}  // namespace nodevirt
