#include "standalone/apiserver/log_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "pkg/base/file.hpp"
#include "standalone/apiserver/errors.hpp"

namespace nodevirt::apiserver {

namespace asio = boost::asio;

LogLine parse_log_line(std::string_view line) {
  // 2026-01-02T03:04:05.678901Z stdout F text
  auto s1 = line.find(' ');
  if (s1 != std::string_view::npos && s1 >= 20 && s1 <= 40 && line[4] == '-' && line[10] == 'T') {
    auto rest = line.substr(s1 + 1);
    for (std::string_view stream : {"stdout ", "stderr "})
      if (rest.starts_with(stream) && rest.size() >= stream.size() + 1) {
        auto tail = rest.substr(stream.size());
        auto s2 = tail.find(' ');
        if (s2 == std::string_view::npos) s2 = tail.size();
        return {std::string(line.substr(0, s1)), std::string(tail.substr(std::min(s2 + 1, tail.size())))};
      }
  }
  // Plain output: our programs and libvirt begin their lines with the time, the latter with a blank in it.
  if (line.size() >= 20 && line[4] == '-' && (line[10] == 'T' || line[10] == ' ')) {
    std::string time(line.substr(0, std::min<std::size_t>(line.find_first_of(line[10] == 'T' ? " " : ":", 20), 40)));
    time[10] = 'T';
    if (time.ends_with("+0000")) time.replace(time.size() - 5, 5, "Z");
    if (parse_time(time).ok()) return {time, std::string(line)};
  }
  return {"", std::string(line)};
}

namespace {

bool safe(const std::string& part) { return !part.empty() && part != "." && part != ".." && part.find('/') == std::string::npos; }

struct Reader {
  LogRequest q;
  Fd fd;
  std::string rest;            // of a line that is not complete yet
  std::string time;            // of the last line that had one: those after it without are as old
  std::int64_t sent = 0;

  /// What the client gets for a chunk of the file; `last` also takes an unfinished line.
  std::string take(std::string_view chunk, bool last) {
    rest += chunk;
    std::string out;
    std::size_t at = 0;
    while (at < rest.size()) {
      auto end = rest.find('\n', at);
      if (end == std::string::npos) {
        if (!last && rest.size() - at < (1u << 20)) break;
        end = rest.size();
      }
      auto line = parse_log_line(std::string_view(rest).substr(at, end - at));
      at = end + 1;
      if (!line.time.empty()) time = std::move(line.time);
      if (q.since_unix_seconds && !time.empty())
        if (auto t = parse_time(time); t.ok() &&
            std::chrono::duration_cast<std::chrono::seconds>(t->time_since_epoch()).count() < q.since_unix_seconds) continue;
      if (q.timestamps && !time.empty()) out += time + " ";
      out += line.text;
      out += '\n';
    }
    rest.erase(0, std::min(at, rest.size()));
    return out;
  }
};

/// Where the last `lines` lines begin.
off_t tail_offset(int fd, off_t size, std::int64_t lines) {
  if (lines < 0) return 0;
  if (lines == 0) return size;
  std::string block(64 << 10, '\0');
  off_t end = size;
  bool first = true;
  while (end > 0) {
    off_t from = std::max<off_t>(0, end - off_t(block.size()));
    auto n = ::pread(fd, block.data(), std::size_t(end - from), from);
    if (n <= 0) return from;
    for (off_t i = n; i-- > 0;) {
      if (block[std::size_t(i)] != '\n') continue;
      if (first && from + i == size - 1) { first = false; continue; }   // the file's last line ends here
      first = false;
      if (--lines == 0) return from + i + 1;
    }
    end = from;
  }
  return 0;
}

/// The log was cut at its front (the pod runner does that to large ones): where what follows `seen` begins now.
off_t find_again(int fd, off_t size, const std::string& seen) {
  std::string text(std::size_t(std::min<off_t>(size, 32 << 20)), '\0');
  const off_t from = size - off_t(text.size());
  auto n = ::pread(fd, text.data(), text.size(), from);
  text.resize(n > 0 ? std::size_t(n) : 0);
  auto at = seen.empty() ? std::string::npos : text.rfind(seen);
  return at == std::string::npos ? 0 : from + off_t(at + seen.size());
}

struct Follow {
  static Awaitable<Result<void>> run(std::filesystem::path root, LogRequest q, LogWriter write, StopToken stop) {
    if (!safe(q.node) || !safe(q.pod_uid) || !safe(q.container)) co_return bad_request("the pod has no log");
    auto folder = root / "nodes" / q.node / "pods" / q.pod_uid / "containers" / q.container;
    auto path = folder / (q.previous ? "log.1" : "log");
    Reader r;
    r.q = q;
    r.fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!r.fd) {
      if (q.previous) co_return bad_request(fmt::format("previous terminated container \"{}\" in pod \"{}\" not found", q.container, q.pod));
      co_return bad_request(fmt::format("container \"{}\" in pod \"{}\" is waiting to start: no log yet", q.container, q.pod));
    }
    struct stat st{};
    if (::fstat(r.fd.get(), &st) != 0) co_return internal_error("the log cannot be read");
    off_t at = tail_offset(r.fd.get(), st.st_size, q.tail_lines);
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    std::stop_callback on_stop(stop, [&timer] { timer.cancel(); });
    std::string block(64 << 10, '\0'), seen;
    std::string hello;
    bool going = co_await write(hello);
    while (going && !stop.stop_requested()) {
      // Looked at before the last read: what was written until then is shown.
      const bool ended = !q.follow || ::access((folder / "exit.json").c_str(), F_OK) == 0;
      auto n = ::pread(r.fd.get(), block.data(), block.size(), at);
      if (n < 0) break;
      at += n;
      seen.append(block.data(), std::size_t(n));
      if (seen.size() > 1024) seen.erase(0, seen.size() - 1024);
      auto piece = r.take(std::string_view(block.data(), std::size_t(n)), n == 0 && ended);
      bool limited = q.limit_bytes >= 0 && r.sent + std::int64_t(piece.size()) >= q.limit_bytes;
      if (limited) piece.resize(std::size_t(std::max<std::int64_t>(0, q.limit_bytes - r.sent)));
      r.sent += std::int64_t(piece.size());
      if (!piece.empty()) going = co_await write(std::move(piece));
      if (limited) break;
      if (n > 0) continue;
      if (ended) break;
      // The pod's folder goes when the pod does.
      struct stat now{};
      if (::stat(path.c_str(), &now) != 0) break;
      if (now.st_ino == st.st_ino && now.st_size < at) {
        at = find_again(r.fd.get(), now.st_size, seen);
        continue;
      }
      if (now.st_ino != st.st_ino) {
        r.fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!r.fd) break;
        st = now;
        at = 0;
        continue;
      }
      timer.expires_after(std::chrono::milliseconds(200));
      boost::system::error_code ignored;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return Result<void>();
  }
};

}  // namespace

PodLogs log_files(std::filesystem::path root) {
  return [root](LogRequest q, LogWriter write, StopToken stop) { return Follow::run(root, std::move(q), std::move(write), stop); };
}

}  // namespace nodevirt::apiserver
