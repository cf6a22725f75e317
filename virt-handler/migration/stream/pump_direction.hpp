// One direction of a pump, without waiting: each step does what can be done now and says what it waits for.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include <openssl/types.h>

namespace nodevirt::virt_handler::migration {

/// One end of a pump. Not an owner.
struct PumpEnd {
  int fd = -1;
  SSL* ssl = nullptr;   ///< null: plain
};

class Direction {
 public:
  enum class Wait { None, ReadableSource, ReadableSink, WritableSource, WritableSink, Done, Failed };
  virtual ~Direction() = default;
  /// Moves at most a buffer's worth; `moved` grows by what has left for the sink.
  virtual Wait step(std::uint64_t& moved) = 0;
  const std::string& error() const { return error_; }

 protected:
  Wait fail(std::string why) {
    error_ = std::move(why);
    return Wait::Failed;
  }

 private:
  std::string error_;
};

inline constexpr std::size_t kPumpBuffer = 256u << 10;

/// Through a buffer; `ahead` comes before what is read.
std::unique_ptr<Direction> buffered_direction(PumpEnd source, PumpEnd sink, std::string ahead);

}  // namespace nodevirt::virt_handler::migration
