#include "virt-handler/node/accelerator.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <fmt/format.h>

#include "pkg/base/file.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/log.hpp"
#include "pkg/base/process.hpp"
#include "virt-handler/node/program_identity.hpp"

namespace nodevirt::virt_handler {
namespace {

struct Answer {
  bool kvm = false;
  std::string why;
};

Answer try_it(const Accelerator::Options& options) {
  Command command{.argv = probe_command(options.qemu, options.probe_kernel.string()), .timeout = options.patience};
  auto finished = run_command(command);
  if (!finished.ok()) return {false, "the kernel did not get through its boot under KVM: " + finished.error().message};
  if (finished->out.find("Linux version") == std::string::npos)
    return {false, fmt::format("the kernel said nothing under KVM (QEMU: {})", finished->err.substr(0, 200))};
  return {true, "a kernel boots under KVM"};
}

Answer find_answer(const Accelerator::Options& options) {
  if (options.probe_kernel.empty()) return {false, "no kernel to probe KVM with was given"};
  if (access(options.device.c_str(), F_OK) != 0) return {false, fmt::format("there is no {}", options.device.string())};
  if (access(options.device.c_str(), R_OK | W_OK) != 0) return {false, fmt::format("{} cannot be opened", options.device.string())};
  std::string kernel = program_identity(options.probe_kernel.string()), qemu = program_identity(options.qemu);
  if (kernel.empty()) return {false, fmt::format("there is no probe kernel {}", options.probe_kernel.string())};
  if (qemu.empty()) return {false, fmt::format("there is no {}", options.qemu)};

  Json key{{"boot", boot_id()}, {"qemu", qemu}, {"kernel", kernel}};
  std::filesystem::path kept = options.state_dir / "accelerator.json";
  if (auto text = read_file(kept, 64u << 10); text.ok())
    if (auto json = parse_json(*text); json.ok() && find(*json, {"key"}) && *find(*json, {"key"}) == key)
      return {bool_at(*json, {"kvm"}), string_at(*json, {"why"}) + " (tried earlier in this boot)"};
  Answer answer = try_it(options);
  Json keep{{"key", key}, {"kvm", answer.kvm}, {"why", answer.why}};
  if (auto written = write_file_atomic(kept, dump_json(keep)); !written.ok())
    log::warning("keep the answer about KVM: {}", written.error().message);
  return answer;
}

}  // namespace

struct Accelerator::Impl {
  explicit Impl(Options o) : options(std::move(o)) {}
  Options options;
  std::optional<Answer> answer;
  std::vector<std::shared_ptr<boost::asio::steady_timer>> waiting;
};

Accelerator::Accelerator(Options options) : impl_(std::make_shared<Impl>(std::move(options))) {}
Accelerator::~Accelerator() = default;

Awaitable<void> Accelerator::run() {
  auto impl = impl_;
  auto work = [impl] { return find_answer(impl->options); };
  Answer answer = co_await blocking(work);
  log::info("KVM {}: {}", answer.kvm ? "works" : "is not used", answer.why);
  impl->answer = answer;
  for (const auto& timer : impl->waiting) timer->cancel();
  impl->waiting.clear();
}

std::optional<bool> Accelerator::known() const {
  if (!impl_->answer) return std::nullopt;
  return impl_->answer->kvm;
}

Awaitable<bool> Accelerator::kvm() {
  auto impl = impl_;
  if (!impl->answer) {
    Executor executor = co_await boost::asio::this_coro::executor;
    auto timer = std::make_shared<boost::asio::steady_timer>(executor, std::chrono::minutes(1));
    impl->waiting.push_back(timer);
    boost::system::error_code ignored;
    auto token = boost::asio::redirect_error(boost::asio::use_awaitable, ignored);
    co_await timer->async_wait(token);
  }
  co_return impl->answer && impl->answer->kvm;
}

std::string Accelerator::why() const { return impl_->answer ? impl_->answer->why : "not known yet"; }

std::vector<std::string> probe_command(const std::string& qemu, const std::string& kernel) {
  return {qemu, "-machine", "q35,accel=kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-user-config",
          "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel,
          "-append", "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1"};
}

}  // namespace nodevirt::virt_handler
