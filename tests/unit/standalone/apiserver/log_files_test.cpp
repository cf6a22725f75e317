// kubectl logs: --follow, --tail, --since, --timestamps, --limit-bytes, --previous, and a log that is cut meanwhile.
#include <catch2/catch.hpp>

#include <fstream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "pkg/base/file.hpp"
#include "standalone/apiserver/log_files.hpp"

using namespace nodevirt;
using namespace nodevirt::apiserver;
namespace fs = std::filesystem;

namespace {

struct Pod {
  TempDir dir;
  fs::path folder = dir.path() / "nodes/node1/pods/uid/containers/compute";
  Pod() { fs::create_directories(folder); }
  void append(const std::string& text) { std::ofstream(folder / "log", std::ios::app) << text; }

  /// The whole answer, or "error: ...". `on_piece` is called after each piece with what came so far.
  std::string read(LogRequest q, std::function<void(const std::string&)> on_piece = {}) {
    q.node = "node1", q.pod = "p", q.pod_uid = q.pod_uid.empty() ? "uid" : q.pod_uid, q.container = "compute";
    std::string out;
    LogWriter writer = [&out, on_piece](std::string piece) -> Awaitable<bool> {
      out += piece;
      if (on_piece) on_piece(out);
      co_return true;
    };
    Result<void> result;
    boost::asio::io_context io;
    auto task = [](PodLogs logs, LogRequest request, LogWriter write, Result<void>* into) -> Awaitable<void> {
      Awaitable<Result<void>> pending = logs(request, write, StopToken());
      *into = co_await std::move(pending);
    };
    boost::asio::co_spawn(io, task(log_files(dir.path()), std::move(q), std::move(writer), &result), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
    io.run();
    return result.ok() ? out : "error: " + result.error().message;
  }
};

constexpr const char* kLines =
    "2026-01-02T03:04:05.000001Z INFO launcher one\n"
    "without a time\n"
    "2026-01-02 03:04:06.500+0000: 12: info : libvirt version\n"
    "2026-01-02T03:04:07.000000Z INFO launcher four\n";

}  // namespace

TEST_CASE("which part of a log is shown", "[logs]") {
  struct Case { std::string name; LogRequest q; std::string want; };
  LogRequest all, tail, none, since, times, limit, last_and_times;
  tail.tail_lines = 2;
  none.tail_lines = 0;
  since.since_unix_seconds = 1767323046;   // 03:04:06
  times.timestamps = true;
  times.tail_lines = 3;
  limit.limit_bytes = 10;
  for (const Case& c : {Case{"everything", all, kLines}, Case{"the last lines", tail, "2026-01-02 03:04:06.500+0000: 12: info : libvirt version\n2026-01-02T03:04:07.000000Z INFO launcher four\n"},
                        Case{"none", none, ""}, Case{"since", since, "2026-01-02 03:04:06.500+0000: 12: info : libvirt version\n2026-01-02T03:04:07.000000Z INFO launcher four\n"},
                        Case{"limited", limit, "2026-01-02"}}) {
    DYNAMIC_SECTION(c.name) {
      Pod pod;
      pod.append(kLines);
      CHECK(pod.read(c.q) == c.want);
    }
  }
  Pod pod;
  pod.append(kLines);
  CHECK(pod.read(times).find("2026-01-02T03:04:06.500Z 2026-01-02 03:04:06.500+0000: 12") != std::string::npos);
  LogRequest previous;
  previous.previous = true;
  CHECK(pod.read(previous).find("previous terminated container \"compute\" in pod \"p\" not found") != std::string::npos);
  LogRequest outside;
  outside.pod_uid = "../uid";
  CHECK(pod.read(outside).find("no log") != std::string::npos);
  pod.append("not finished");
  CHECK(pod.read(tail).ends_with("not finished\n"));
}

TEST_CASE("a log is followed over a cut at its front, until its container ends", "[logs]") {
  Pod pod;
  pod.append("first\n");
  LogRequest q;
  q.follow = true;
  int step = 0;
  const std::string got = pod.read(q, [&](const std::string& sofar) {
    if (step == 0 && sofar.ends_with("first\n")) pod.append("second\n"), step = 1;
    else if (step == 1 && sofar.ends_with("second\n")) {
      std::ofstream(pod.folder / "log", std::ios::trunc) << "cond\n";   // as the pod runner cuts a large one
      pod.append("third\n"), step = 2;
    } else if (step == 2 && sofar.ends_with("third\n")) {
      pod.append("the end");
      std::ofstream(pod.folder / "exit.json") << "{}";
      step = 3;
    }
  });
  CHECK(step == 3);
  // The context is longer than what is left of it here, so it starts over: nothing is lost.
  CHECK(got.starts_with("first\nsecond\n"));
  CHECK(got.ends_with("third\nthe end\n"));
}

TEST_CASE("a cut log is not told twice", "[logs]") {
  Pod pod;
  std::string text;
  for (int i = 0; i < 300; ++i) text += fmt::format("line number {}\n", i);
  pod.append(text);
  LogRequest q;
  q.follow = true;
  bool cut = false;
  const std::string got = pod.read(q, [&](const std::string& sofar) {
    if (!cut && sofar.ends_with("line number 299\n")) {
      std::ofstream(pod.folder / "log", std::ios::trunc) << text.substr(text.size() / 2);
      pod.append("after\n");
      cut = true;
    } else if (sofar.ends_with("after\n")) {
      std::ofstream(pod.folder / "exit.json") << "{}";
    }
  });
  CHECK(got == text + "after\n");
}
