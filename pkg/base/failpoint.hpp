// Faults are injectable: named places where a test may kill, fail or pause a program.
// NODEVIRT_FAILPOINTS="name=kill;other=error;third=kill@2" in the environment arms them: `kill` is
// SIGKILL to the own process, `error` makes NV_FAILPOINT_ERROR return true, `@n` fires at the n-th pass.
// With NODEVIRT_FAILPOINTS_ONCE_DIR each fires once for all processes, and leaves a file of its name there.
// NODEVIRT_FAILPOINTS_DIR (or use_folder) names a folder in which a test arms them while programs run: a file
// NAME with `kill`, `stop` (SIGSTOP to the own process) or `error` in it is renamed to NAME.fired by the one that fires.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::failpoint {

struct Registration {
  explicit Registration(const char* name);
};
/// Acts as armed; true when an error is to be injected.
bool hit(const char* name);
/// As NODEVIRT_FAILPOINTS_DIR, for programs that a test gives no environment to. Before any thread.
void use_folder(std::string path);
/// Every failpoint linked into this program, sorted: `PROGRAM failpoints` prints them.
std::vector<std::string> names();

}  // namespace nodevirt::failpoint

#ifdef NODEVIRT_FAILPOINTS
/// At namespace scope of the file that uses it: declares the name for the list.
#define NV_DECLARE_FAILPOINT(var, name) \
  static constexpr const char* var = name; \
  static const ::nodevirt::failpoint::Registration var##_registration{name}
#define NV_FAILPOINT(var) ((void)::nodevirt::failpoint::hit(var))
#define NV_FAILPOINT_ERROR(var) ::nodevirt::failpoint::hit(var)
#define NV_FAILPOINT_FOLDER(path) ::nodevirt::failpoint::use_folder(path)
#else
#define NV_DECLARE_FAILPOINT(var, name) static_assert(true)
#define NV_FAILPOINT(var) ((void)0)
#define NV_FAILPOINT_ERROR(var) false
#define NV_FAILPOINT_FOLDER(path) ((void)0)
#endif
