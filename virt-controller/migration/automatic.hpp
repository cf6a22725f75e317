// Migrations that virt-controller asks for by itself: of instances that are to leave their node, or whose volumes move.
#pragma once
#include <functional>
#include <unordered_map>

#include "virt-controller/context.hpp"
#include "virt-controller/migration/objects.hpp"
#include "virt-controller/migration/plan.hpp"

namespace nodevirt::virt_controller::migration {

/// One controller's migrations of that kind. Owned by a shared_ptr, since its requests outlast a call.
class Automatic : public std::enable_shared_from_this<Automatic> {
 public:
  Automatic(Context& context, Caches& caches) : ctx_(context), caches_(caches) {}

  /// An instance's, newest first.
  std::vector<MigrationInformer::Ptr> history(const std::string& instance_key) const;
  /// How many of `ours` have failed in a row by now, and when the last of them did.
  struct Failures {
    int count = 0;
    std::optional<Clock::WallTime> last;
  };
  Failures failures(const std::string& instance_key, const std::function<bool(const MigrationObject&)>& ours) const;

  /// One was made that the watch has not shown. `shown`: it shows one that has not ended.
  bool awaited(const std::string& instance_key, bool shown);
  void forget(const std::string& instance_key) { made_.erase(instance_key); }

  struct Wanted {
    KubevirtInformer::Ptr instance;
    std::string prefix;                             ///< of the name
    std::string attempt;                            ///< what it is made for: the same attempt has the same name, so that one made twice is one
    std::pair<std::string, std::string> annotation;
    std::string priority;
    std::string why;                                ///< for the log: "node a is evacuated"
    std::string purpose;                            ///< of the event: " to move volumes"; may be empty
  };
  Awaitable<Result<void>> make(Wanted wanted);

 private:
  Context& ctx_;
  Caches& caches_;
  std::unordered_map<std::string, Clock::Time> made_;   ///< by instance key
};

}  // namespace nodevirt::virt_controller::migration
