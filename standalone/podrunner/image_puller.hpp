// Fetching images beside everything else: one fetch per name, however many pods wait for it.
#pragma once
#include <map>
#include <memory>
#include <string>

#include <boost/asio/thread_pool.hpp>

#include "standalone/images/store.hpp"
#include "standalone/podrunner/wake.hpp"

namespace nodevirt::podrunner {

class ImagePuller {
 public:
  ImagePuller(Executor executor, std::shared_ptr<images::Store> store);
  ~ImagePuller();
  /// Joins a fetch of the same name, policy and logins that is under way. Fetches run on threads of their own: they
  /// take minutes, and nothing else may wait behind them.
  Task<Result<images::Image>> pull(const std::string& reference, images::PullPolicy policy, const std::string& auth = "");
  images::Store& store() { return *store_; }

 private:
  Awaitable<Result<images::Image>> fetch(std::string reference, images::PullPolicy policy, std::string auth);
  Executor executor_;
  std::shared_ptr<images::Store> store_;
  std::map<std::string, Task<Result<images::Image>>> running_;
  boost::asio::thread_pool threads_{3};
};

}  // namespace nodevirt::podrunner
