#include "standalone/podrunner/image_puller.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include "pkg/base/way_back.hpp"

namespace nodevirt::podrunner {
namespace asio = boost::asio;

ImagePuller::ImagePuller(Executor executor, std::shared_ptr<images::Store> store) : executor_(executor), store_(std::move(store)) {}
ImagePuller::~ImagePuller() { threads_.join(); }

Task<Result<images::Image>> ImagePuller::pull(const std::string& reference, images::PullPolicy policy, const std::string& auth) {
  const std::string key = std::to_string(static_cast<int>(policy)) + reference + "\n" + auth;
  std::erase_if(running_, [&](const auto& r) { return r.first != key && r.second.done(); });
  auto& task = running_[key];
  // What has ended serves nobody again: who asks now may have mended the cause.
  if (!task || task.done()) task = Task<Result<images::Image>>::start(executor_, fetch(reference, policy, auth), "image fetch");
  return task;
}

Awaitable<Result<images::Image>> ImagePuller::fetch(std::string reference, images::PullPolicy policy, std::string auth) {
  auto store = store_;
  auto result = std::make_shared<std::optional<Result<images::Image>>>();
  auto executor = co_await asio::this_coro::executor;
  auto* threads = &threads_;
  auto way = WayBack::of(executor);
  auto initiate = [=](auto handler) mutable {
    auto guard = asio::make_work_guard(executor);
    asio::post(*threads, [=, guard = std::move(guard), handler = std::move(handler)]() mutable {
      result->emplace(store->resolve(reference, policy, "", auth));
      auto back = [&] {
        asio::post(guard.get_executor(), std::move(handler));
        guard.reset();
      };
      if (way->come(back)) return;
      new auto(std::move(handler));  // as in run_blocking
      new auto(std::move(guard));
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(initiate), asio::use_awaitable);
  co_return std::move(**result);
}

}  // namespace nodevirt::podrunner
