#include "standalone/schema/builtin.hpp"

#include <mutex>
#include <unordered_map>

#include "pkg/base/log.hpp"
#include "standalone/schema/builtin_types.hpp"
#include "standalone/schema/compiler.hpp"

namespace nodevirt::schema {

namespace {

std::shared_ptr<const Validator> compile_builtin(const std::string& type) {
  std::unordered_map<std::string, Json> definitions;
  CompileOptions options;
  options.lenient = true;
  auto resolve = [&definitions](std::string_view name) -> const Json* {
    auto it = definitions.find(std::string(name));
    if (it == definitions.end()) {
      auto d = builtin_definition(name);
      if (!d) return nullptr;
      it = definitions.emplace(name, std::move(*d)).first;
    }
    return &it->second;
  };
  options.resolve = resolve;
  const Json* root = resolve(type);
  if (!root) return nullptr;
  auto v = compile_schema(*root, options);
  if (!v) {
    log::error("built-in schema {}: {}", type, v.error().message);
    return nullptr;
  }
  return std::move(*v);
}

}  // namespace

std::shared_ptr<const Validator> builtin_schema(std::string_view group, std::string_view version, std::string_view kind) {
  static std::mutex mutex;
  static std::unordered_map<std::string, std::shared_ptr<const Validator>> cache;
  auto type = builtin_type_name(group, version, kind);
  if (!type) return nullptr;
  std::lock_guard lock(mutex);
  auto& slot = cache[*type];
  if (!slot) slot = compile_builtin(*type);
  return slot;
}

}  // namespace nodevirt::schema
