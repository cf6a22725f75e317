#include "standalone/images/store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkg/base/clock.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/file.hpp"
#include "pkg/base/id.hpp"

namespace nodevirt::images {
namespace fs = std::filesystem;
NV_DECLARE_FAILPOINT(kFetched, "images.fetched");
NV_DECLARE_FAILPOINT(kUnpacked, "images.unpacked");
NV_DECLARE_FAILPOINT(kPlaced, "images.placed");
namespace {

std::string folder(const std::string& digest) { return "sha256-" + digest.substr(7); }

/// An exclusive lock between processes and threads, held while it lives.
class FileLock {
 public:
  static Result<FileLock> take(const fs::path& path) {
    FileLock lock;
    lock.fd_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!lock.fd_) return errno_error(errno, "open lock " + path.string());
    while (::flock(lock.fd_.get(), LOCK_EX) != 0)
      if (errno != EINTR) return errno_error(errno, "lock " + path.string());
    return lock;
  }

 private:
  Fd fd_;
};

std::string key_hash(const std::string& key) {
  std::uint64_t h = 1469598103934665603ull;  // FNV-1a: names a lock file, no more
  for (unsigned char c : key) h = (h ^ c) * 1099511628211ull;
  return fmt::format("{:016x}", h);
}

}  // namespace

PullPolicy pull_policy(std::string_view text, std::string_view reference) {
  if (text == "Always") return PullPolicy::Always;
  if (text == "IfNotPresent") return PullPolicy::IfNotPresent;
  if (text == "Never") return PullPolicy::Never;
  const auto parsed = parse_reference(reference);
  const bool latest = parsed.ok() && !parsed->local() && parsed->name.ends_with(":latest");
  return latest ? PullPolicy::Always : PullPolicy::IfNotPresent;
}

std::string Image::id() const {
  auto base = name;
  if (const auto at = base.find('@'); at != std::string::npos) base.resize(at);
  else if (const auto colon = base.rfind(':'); colon != std::string::npos && base.find('/', colon) == std::string::npos) base.resize(colon);
  return base + "@" + digest;
}

fs::path Store::rootfs(const std::string& digest) const { return options_.dir / "rootfs" / folder(digest); }

std::vector<std::string> Store::holders(const std::string& digest) const {
  std::vector<std::string> out;
  std::error_code ec;
  for (auto it = fs::directory_iterator(options_.dir / "holders" / folder(digest), ec); !ec && it != fs::directory_iterator(); it.increment(ec))
    out.push_back(it->path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

/// Called with the lock held.
Result<Image> Store::hold(const std::string& name, const std::string& digest, const std::string& holder) {
  Image image{name, digest, rootfs(digest)};
  std::error_code ec;
  if (!fs::is_directory(image.path / "disk", ec)) return Error(Code::NotFound, "image " + name + " is not in the cache");
  if (!holder.empty()) {
    const auto dir = options_.dir / "holders" / folder(digest);
    NV_TRY_VOID(make_dirs(dir));
    Fd mark(::open((dir / holder).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!mark) return errno_error(errno, "note the use of image " + name);
  }
  return image;
}

void Store::release(const std::string& holder) {
  if (holder.empty()) return;
  std::error_code ec;
  for (auto it = fs::directory_iterator(options_.dir / "holders", ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
    std::error_code e2;
    fs::remove(it->path() / holder, e2);
  }
}

void Store::release_all_but(const std::string& prefix, const std::vector<std::string>& alive) {
  std::error_code ec;
  for (auto it = fs::directory_iterator(options_.dir / "holders", ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
    std::error_code e2;
    for (auto h = fs::directory_iterator(it->path(), e2); !e2 && h != fs::directory_iterator(); h.increment(e2)) {
      const auto name = h->path().filename().string();
      if (name.starts_with(prefix) && std::find(alive.begin(), alive.end(), name) == alive.end()) {
        std::error_code e3;
        fs::remove(h->path(), e3);
      }
    }
  }
}

Result<Image> Store::find(std::string reference, PullPolicy policy, std::string holder) {
  NV_TRY(const Reference ref, parse_reference(reference));
  NV_TRY_VOID(make_dirs(options_.dir));
  NV_TRY(const FileLock lock, FileLock::take(options_.dir / "lock"));
  NV_TRY(const NameMap map, NameMap::load(options_.dir / "names.json"));
  const NameEntry* entry = map.find(ref.key());
  const bool pinned = ref.name.find('@') != std::string::npos;
  if (!entry || (policy == PullPolicy::Always && !entry->local && !pinned))
    return Error(Code::NotFound, "image " + ref.key() + " is not in the cache");
  return hold(ref.key(), entry->digest, holder);
}

Result<Image> Store::resolve(std::string reference, PullPolicy policy, std::string holder, std::string auth) {
  auto found = find(reference, policy, holder);
  if (found.ok() || found.error().code != Code::NotFound) return found;
  NV_TRY(const Reference ref, parse_reference(reference));
  if (policy == PullPolicy::Never)
    return Error(Code::NotFound, "ErrImageNeverPull",
                 "image " + ref.key() + " is not in the cache, and its pull policy is Never; `nodevirt image import " + reference + "=SOURCE` adds it");
  // Fetches of one name wait for each other; who comes second finds what the first brought.
  NV_TRY_VOID(make_dirs(options_.dir / "tmp", 0700));
  NV_TRY(const FileLock lock, FileLock::take(options_.dir / "tmp" / ("fetch-" + key_hash(ref.key()) + ".lock")));
  if (policy != PullPolicy::Always) {
    found = find(reference, policy, holder);
    if (found.ok()) return found;
  }
  auto taken = take_in(ref, ref.key(), false, reference, auth);
  if (!taken.ok()) return taken;
  NV_TRY(const FileLock names, FileLock::take(options_.dir / "lock"));
  return hold(ref.key(), taken->digest, holder);
}

Result<Image> Store::import(std::string source, std::string name) {
  NV_TRY(const Reference from, parse_reference(source));
  NV_TRY(const Reference as, parse_reference(name.empty() ? source : name));
  return take_in(from, as.key(), true, source);
}

Result<Image> Store::tag(std::string existing, std::string name) {
  NV_TRY(const Reference as, parse_reference(name));
  NV_TRY_VOID(make_dirs(options_.dir));
  NV_TRY(const FileLock lock, FileLock::take(options_.dir / "lock"));
  NV_TRY(NameMap map, NameMap::load(options_.dir / "names.json"));
  std::string digest = existing;
  if (!is_digest(existing)) {
    NV_TRY(const Reference ref, parse_reference(existing));
    const NameEntry* entry = map.find(ref.key());
    if (!entry) return Error(Code::NotFound, "image " + ref.key() + " is not in the cache; `nodevirt image list` shows what is");
    digest = entry->digest;
  }
  NV_TRY(Image image, hold(as.key(), digest, ""));
  map.names[as.key()] = NameEntry{digest, true, existing, format_time(system_clock().wall())};
  NV_TRY_VOID(map.save(options_.dir / "names.json"));
  return image;
}

/// Removes what fetches left that no longer live (their lock is free).
void Store::sweep_tmp() {
  std::error_code ec;
  std::vector<fs::path> dead;
  for (auto it = fs::directory_iterator(options_.dir / "tmp", ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
    if (!it->is_directory(ec)) continue;
    Fd mark(::open((it->path() / "lock").c_str(), O_RDWR | O_CLOEXEC));
    if (!mark || ::flock(mark.get(), LOCK_EX | LOCK_NB) == 0) dead.push_back(it->path());
  }
  for (const auto& path : dead) {
    std::error_code e2;
    fs::remove_all(path, e2);
  }
}

/// A name that is asked for again mostly means what it meant before: then its manifest tells, and nothing is fetched.
/// Empty: fetch.
Result<std::string> Store::known_digest(const Reference& reference, const std::string& name, const fs::path& work, const FetchOptions& how) {
  if (reference.local()) return std::string();
  {
    NV_TRY(const FileLock lock, FileLock::take(options_.dir / "lock"));
    NV_TRY(const NameMap map, NameMap::load(options_.dir / "names.json"));
    if (!map.find(name)) return std::string();
  }
  auto digest = remote_digest(reference, work, how);
  if (!digest.ok()) return digest.error().code == Code::Unknown ? Result<std::string>(std::string()) : digest;
  std::error_code ec;
  return fs::is_directory(rootfs(*digest) / "disk", ec) ? *digest : std::string();
}

Result<Image> Store::take_in(const Reference& reference, const std::string& name, bool local, const std::string& source, const std::string& auth) {
  NV_TRY_VOID(make_dirs(options_.dir));
  NV_TRY_VOID(make_dirs(options_.dir / "rootfs"));
  NV_TRY_VOID(make_dirs(options_.dir / "tmp", 0700));
  // The work folder carries a lock for as long as this fetch lives, so that no other sweeps it away.
  const auto work = options_.dir / "tmp" / random_suffix(12);
  Fd mark;
  {
    NV_TRY(const FileLock lock, FileLock::take(options_.dir / "lock"));
    sweep_tmp();
    NV_TRY_VOID(make_dirs(work, 0700));
    mark.reset(::open((work / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!mark || ::flock(mark.get(), LOCK_EX | LOCK_NB) != 0) return errno_error(errno, "lock " + work.string());
  }
  struct Cleanup {
    fs::path path;
    ~Cleanup() { std::error_code ec; fs::remove_all(path, ec); }
  } cleanup{work};

  const auto blobs = work / "image", root = work / "root";
  NV_TRY_VOID(make_dirs(blobs, 0700));
  NV_TRY_VOID(make_dirs(root, 0755));
  FetchOptions how = options_.fetch;
  how.auth = auth;
  std::error_code ec;
  NV_TRY(const std::string known, known_digest(reference, name, work, how));
  std::string digest = known;
  if (known.empty()) {
    NV_TRY(const Fetched fetched, fetch(reference, blobs, how));
    NV_FAILPOINT(kFetched);
    digest = fetched.digest;
    if (!fs::is_directory(rootfs(digest) / "disk", ec)) {
      DiskExtractor extractor(root, options_.limits);
      for (const auto& layer : fetched.layers) {
        auto applied = extractor.apply(layer.path, layer.digest);
        if (!applied.ok()) return applied.error().with_context("image " + reference.key());
      }
      if (extractor.files() == 0)
        return Error(Code::InvalidArgument, "ErrImagePull",
                     "image " + reference.key() + " holds no disk: there is no file under /disk in it");
      Fd dir(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!dir || ::syncfs(dir.get()) != 0) return errno_error(errno, "write image " + reference.key() + " to the disk");
    }
  }
  NV_FAILPOINT(kUnpacked);

  NV_TRY(const FileLock lock, FileLock::take(options_.dir / "lock"));
  const auto target = rootfs(digest);
  if (!fs::is_directory(target / "disk", ec)) {
    if (!fs::is_directory(root / "disk", ec)) return Error(Code::Unavailable, "ErrImagePull", "image " + reference.key() + " was removed meanwhile");
    fs::remove_all(target, ec);
    if (::rename(root.c_str(), target.c_str()) != 0) return errno_error(errno, "place image " + reference.key() + " in the cache");
  }
  NV_FAILPOINT(kPlaced);
  NV_TRY(NameMap map, NameMap::load(options_.dir / "names.json"));
  std::string replaced;
  if (const NameEntry* old = map.find(name)) {
    if (old->local && !local) return hold(name, old->digest, "");  // a person mapped the name meanwhile: that wins
    if (old->digest != digest) replaced = old->digest;
  }
  map.names[name] = NameEntry{digest, local, source, format_time(system_clock().wall())};
  NV_TRY_VOID(map.save(options_.dir / "names.json"));
  if (!replaced.empty()) drop_if_unnamed(map, replaced);
  return Image{name, digest, target};
}

/// Called with the lock held.
void Store::drop_if_unnamed(const NameMap& map, const std::string& digest) {
  for (const auto& [name, entry] : map.names)
    if (entry.digest == digest) return;
  if (!holders(digest).empty()) return;
  // Renamed first: a half-deleted image must never be found under its digest.
  const auto grave = options_.dir / "tmp" / random_suffix(12);
  std::error_code ec;
  fs::create_directories(options_.dir / "tmp", ec);
  if (::rename(rootfs(digest).c_str(), grave.c_str()) == 0) fs::remove_all(grave, ec);
  fs::remove_all(options_.dir / "holders" / folder(digest), ec);
}

Result<std::vector<Listed>> Store::list() {
  std::vector<Listed> out;
  std::error_code ec;
  if (!fs::exists(options_.dir, ec)) return out;
  NV_TRY(const NameMap map, NameMap::load(options_.dir / "names.json"));
  for (const auto& [name, e] : map.names) {
    Listed item{name, e.digest, e.source, e.time, e.local, 0, holders(e.digest)};
    item.bytes = DiskExtractor(rootfs(e.digest), {}).bytes();
    out.push_back(std::move(item));
  }
  return out;
}

Result<void> Store::remove(std::string name) {
  NV_TRY_VOID(make_dirs(options_.dir));
  NV_TRY(const FileLock lock, FileLock::take(options_.dir / "lock"));
  NV_TRY(NameMap map, NameMap::load(options_.dir / "names.json"));
  auto it = map.names.find(name);
  if (it == map.names.end()) {
    NV_TRY(const Reference ref, parse_reference(name));
    it = map.names.find(ref.key());
  }
  if (it == map.names.end()) return Error(Code::NotFound, "no image is named " + name + "; `nodevirt image list` shows the names");
  const std::string digest = it->second.digest;
  const auto named = std::count_if(map.names.begin(), map.names.end(), [&](const auto& n) { return n.second.digest == digest; });
  const auto users = holders(digest);
  if (named == 1 && !users.empty())
    return Error(Code::FailedPrecondition, "InUse",
                 fmt::format("image {} is in use by {} ({} in all); stop what runs on it first", name, users.front(), users.size()));
  map.names.erase(it);
  NV_TRY_VOID(map.save(options_.dir / "names.json"));
  drop_if_unnamed(map, digest);
  return {};
}

}  // namespace nodevirt::images
