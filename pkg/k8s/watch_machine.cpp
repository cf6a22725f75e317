#include "pkg/k8s/watch_machine.hpp"

#include "pkg/k8s/status.hpp"

namespace nodevirt::k8s {

namespace {

using Next = WatchStep::Next;
using Store = WatchStep::Store;

constexpr int kWatchFailuresBeforeList = 8;

template <class... F> struct Overloaded : F... { using F::operator()...; };
template <class... F> Overloaded(F...) -> Overloaded<F...>;

// The server knows this version no longer, or never did (its data was replaced): only a list helps.
bool version_is_useless(const Error& error) {
  if (is_expired(error)) return true;
  return error.code == Code::InvalidArgument || error.code == Code::OutOfRange || error.code == Code::NotFound;
}

}  // namespace

WatchStep WatchMachine::start(Next next) {
  WatchStep step;
  step.next = next;
  if (next == Next::List) {
    continue_.clear();
    step.store = Store::Init;
  } else {
    step.resource_version = version_;
  }
  return step;
}

WatchStep WatchMachine::back_off(Next then, const Error& error) {
  WatchStep step;
  step.next = Next::Wait;
  auto wait = std::chrono::nanoseconds(kMinBackoff) * (1 << std::min(failures_, 10));
  step.wait = std::min<std::chrono::nanoseconds>(wait, kMaxBackoff);
  ++failures_;
  after_wait_ = then;
  if (!complained_) {
    step.complaint = error.message;
    complained_ = true;
  }
  return step;
}

WatchStep WatchMachine::list_again(bool at_once, std::string complaint) {
  if (at_once) {
    ++failures_;  // a server that always answers 410 must not make us spin
    return start(Next::List);
  }
  return back_off(Next::List, Error(Code::OutOfRange, "Expired", std::move(complaint)));
}

WatchStep WatchMachine::on_line(const Json& event) {
  std::string type = string_at(event, {"type"});
  const Json* object = find(event, {"object"});
  WatchStep step;
  step.next = Next::Read;
  if (!object || !object->is_object())
    return back_off(Next::Watch, Error(Code::Internal, "the watch stream carried something that is no event"));
  if (type == "ERROR") {
    Error error = error_of_status(*object);
    if (version_is_useless(error)) return list_again(failures_ == 0, error.message);
    return back_off(Next::Watch, error);
  }
  std::string version = string_at(*object, {"metadata", "resourceVersion"});
  if (!version.empty()) version_ = std::move(version);
  failures_ = 0;
  complained_ = false;
  if (type == "ADDED" || type == "MODIFIED") step.store = Store::Apply;
  else if (type == "DELETED") step.store = Store::Delete;
  return step;  // BOOKMARK, and types of a later day, only move the version on
}

WatchStep WatchMachine::resume(const WatchInput& input) {
  return std::visit(
      Overloaded{
          [&](const Started&) { return start(Next::List); },
          [&](const PageListed& page) {
            WatchStep step;
            if (!page.continue_token.empty()) {
              continue_ = page.continue_token;
              step.next = Next::List;
              step.continue_token = continue_;
              return step;
            }
            version_ = page.resource_version;
            continue_.clear();
            step.next = Next::Watch;
            step.store = Store::InitDone;
            step.resource_version = version_;
            return step;
          },
          [&](const ListFailed& failed) {
            // An expired continue token: the list has to begin anew, at once the first time.
            if (!continue_.empty() && is_expired(failed.error))
              return list_again(failures_ == 0, failed.error.message);
            return back_off(Next::List, failed.error);
          },
          [&](const WatchOpened&) {
            watch_failures_ = 0;
            WatchStep step;
            step.next = Next::Read;
            return step;
          },
          [&](const WatchFailed& failed) {
            if (version_is_useless(failed.error)) return list_again(failures_ == 0, failed.error.message);
            if (++watch_failures_ >= kWatchFailuresBeforeList) {
              watch_failures_ = 0;
              return back_off(Next::List, failed.error);
            }
            return back_off(Next::Watch, failed.error);
          },
          [&](const WatchLine& line) { return on_line(*line.event); },
          [&](const StreamEnded& ended) {
            // A stream that served its time is simply opened again.
            if (ended.lived >= std::chrono::seconds(1)) {
              failures_ = 0;
              return start(Next::Watch);
            }
            return back_off(Next::Watch, Error(Code::Unavailable, "the watch stream ended at once"));
          },
          [&](const Waited&) { return start(after_wait_); },
      },
      input);
}

Result<void> LineSplitter::feed(std::string_view bytes) {
  if (begin_ > 0 && (begin_ == buffer_.size() || begin_ > (1u << 20))) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
    if (buffer_.empty() && buffer_.capacity() > (256u << 10)) buffer_.shrink_to_fit();
  }
  buffer_.append(bytes);
  if (buffer_.size() - begin_ > max_line_ && buffer_.find('\n', scanned_) == std::string::npos)
    return Error(Code::ResourceExhausted, fmt::format("a line of the stream is longer than {} bytes", max_line_));
  return {};
}

std::optional<std::string_view> LineSplitter::next() {
  while (true) {
    auto end = buffer_.find('\n', scanned_);
    if (end == std::string::npos) {
      scanned_ = buffer_.size();
      return std::nullopt;
    }
    std::string_view line(buffer_.data() + begin_, end - begin_);
    begin_ = scanned_ = end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty()) return line;
  }
}

}  // namespace nodevirt::k8s
