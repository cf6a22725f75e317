#include "pkg/base/way_back.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>

namespace nodevirt {

namespace asio = boost::asio;

namespace {

constexpr auto kEndOfContext = 1s;

}  // namespace

class WayBack::Service : public asio::execution_context::service {
 public:
  using key_type = Service;
  static inline asio::execution_context::id id;
  explicit Service(asio::execution_context& context) : service(context) {}
  const std::shared_ptr<WayBack>& way() const { return way_; }

 private:
  void shutdown() override { way_->close(); }
  std::shared_ptr<WayBack> way_ = std::make_shared<WayBack>();
};

std::shared_ptr<WayBack> WayBack::of(const Executor& executor) {
  return asio::use_service<Service>(asio::query(executor, asio::execution::context_as<asio::execution_context&>)).way();
}

void WayBack::promise() {
  std::lock_guard lock(mutex_);
  ++promised_;
}

void WayBack::close() {
  std::unique_lock lock(mutex_);
  kept_.wait_for(lock, kEndOfContext, [this] { return promised_ == 0; });
  closed_ = true;
}

}  // namespace nodevirt
