#include "pkg/k8s/json_patch.hpp"

#include <charconv>

namespace nodevirt::k8s {

namespace {

constexpr std::size_t kMaxOperations = 10000;
constexpr std::size_t kMaxCopied = 16u << 20;
constexpr std::size_t kMaxDepth = 200;

using Tokens = std::vector<std::string>;

Error bad_patch(std::string message) { return {Code::InvalidArgument, "BadRequest", std::move(message)}; }
Error invalid(std::string message) { return {Code::InvalidArgument, "Invalid", std::move(message)}; }

struct Extent {
  std::size_t bytes = 0, depth = 0;
};

Extent extent(const Json& v) {
  Extent e{16, 1};
  if (v.is_string()) e.bytes += v.get_ref<const std::string&>().size();
  if (v.is_structured()) {
    for (auto it = v.begin(); it != v.end(); ++it) {
      Extent inner = extent(*it);
      e.bytes += inner.bytes + (v.is_object() ? it.key().size() : 0);
      e.depth = std::max(e.depth, inner.depth + 1);
    }
  }
  return e;
}

// An index of an array: decimal without leading zeros. `end` allows "-" and one past the last.
std::optional<std::size_t> array_index(const Json& array, const std::string& token, bool end) {
  if (end && token == "-") return array.size();
  if (token.empty() || token.size() > 9 || (token.size() > 1 && token[0] == '0')) return std::nullopt;
  std::size_t i = 0;
  auto [rest, error] = std::from_chars(token.data(), token.data() + token.size(), i);
  if (error != std::errc() || rest != token.data() + token.size()) return std::nullopt;
  if (i > array.size() || (!end && i == array.size())) return std::nullopt;
  return i;
}

Json* walk(Json& doc, const Tokens& tokens, std::size_t count) {
  Json* at = &doc;
  for (std::size_t i = 0; i < count; ++i) {
    if (at->is_object()) {
      auto it = at->find(tokens[i]);
      if (it == at->end()) return nullptr;
      at = &*it;
    } else if (at->is_array()) {
      auto index = array_index(*at, tokens[i], false);
      if (!index) return nullptr;
      at = &(*at)[*index];
    } else {
      return nullptr;
    }
  }
  return at;
}

class Patcher {
 public:
  explicit Patcher(Json& doc) : doc_(doc) {}

  Result<void> apply(const Json& op) {
    if (!op.is_object()) return bad_patch("not an object");
    const Json* name = nodevirt::find(op, {"op"});
    if (!name || !name->is_string()) return bad_patch("\"op\" is missing");
    const auto& what = name->get_ref<const std::string&>();
    NV_TRY(Tokens path, pointer(op, "path"));
    if (what == "add" || what == "replace" || what == "test") {
      const Json* value = nodevirt::find(op, {"value"});
      if (!value) return bad_patch("\"value\" is missing");
      if (what == "test") return test(path, *value);
      if (what == "replace" && !walk(doc_, path, path.size())) return missing(path);
      return what == "add" ? add(path, *value) : replace(path, *value);
    }
    if (what == "remove") return remove(path);
    if (what == "move" || what == "copy") {
      NV_TRY(Tokens from, pointer(op, "from"));
      Json* source = walk(doc_, from, from.size());
      if (!source) return missing(from);
      if (what == "copy") {
        copied_ += extent(*source).bytes;
        if (copied_ > kMaxCopied)
          return Error(Code::InvalidArgument, "RequestEntityTooLarge", "the patch copies more than 16 MiB");
        Json value = *source;
        return add(path, std::move(value));
      }
      if (from == path) return {};
      if (from.size() < path.size() && std::equal(from.begin(), from.end(), path.begin()))
        return invalid("cannot move a value into itself");
      Json value = std::move(*source);
      NV_TRY_VOID(remove(from));
      return add(path, std::move(value));
    }
    return bad_patch(fmt::format("unknown operation \"{}\"", what.substr(0, 32)));
  }

 private:
  static Result<Tokens> pointer(const Json& op, const char* key) {
    const Json* text = nodevirt::find(op, {key});
    if (!text || !text->is_string()) return bad_patch(fmt::format("\"{}\" is missing", key));
    return parse_json_pointer(text->get_ref<const std::string&>());
  }

  static Error missing(const Tokens& path) {
    std::string text;
    for (const auto& t : path) text += "/" + escape_json_pointer(t);
    return invalid(fmt::format("there is nothing at \"{}\"", text));
  }

  Result<void> test(const Tokens& path, const Json& value) {
    // A missing member equals null, as in the library that kube-apiserver uses.
    Json* at = walk(doc_, path, path.size());
    if (at ? *at == value : value.is_null()) return {};
    return invalid("testing the value failed");
  }

  Result<void> replace(const Tokens& path, Json value) {
    NV_TRY_VOID(check_depth(path, value));
    *walk(doc_, path, path.size()) = std::move(value);
    return {};
  }

  Result<void> add(const Tokens& path, Json value) {
    NV_TRY_VOID(check_depth(path, value));
    if (path.empty()) {
      doc_ = std::move(value);
      return {};
    }
    Json* parent = walk(doc_, path, path.size() - 1);
    if (!parent || !parent->is_structured()) return missing(Tokens(path.begin(), path.end() - 1));
    if (parent->is_object()) {
      (*parent)[path.back()] = std::move(value);
      return {};
    }
    auto index = array_index(*parent, path.back(), true);
    if (!index) return missing(path);
    parent->insert(parent->begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
    return {};
  }

  Result<void> remove(const Tokens& path) {
    if (path.empty()) {
      doc_ = nullptr;
      return {};
    }
    Json* parent = walk(doc_, path, path.size() - 1);
    if (!parent || !walk(doc_, path, path.size())) return missing(path);
    if (parent->is_object()) parent->erase(path.back());
    else parent->erase(*array_index(*parent, path.back(), false));
    return {};
  }

  static Result<void> check_depth(const Tokens& path, const Json& value) {
    if (path.size() + extent(value).depth > kMaxDepth) return invalid("the result is nested too deeply");
    return {};
  }

  Json& doc_;
  std::size_t copied_ = 0;
};

}  // namespace

Result<std::vector<std::string>> parse_json_pointer(std::string_view text) {
  Tokens out;
  if (text.empty()) return out;
  if (text[0] != '/') return bad_patch("a JSON pointer is empty or begins with \"/\"");
  for (char c : text) {
    if (c == '/') out.emplace_back();
    else out.back() += c;
  }
  if (out.size() > kMaxDepth) return bad_patch("a JSON pointer has too many parts");
  for (auto& token : out) {
    std::string decoded;
    for (std::size_t i = 0; i < token.size(); ++i) {
      if (token[i] != '~') {
        decoded += token[i];
      } else if (i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
        decoded += token[++i] == '0' ? '~' : '/';
      } else {
        return bad_patch("\"~\" in a JSON pointer is followed by 0 or 1");
      }
    }
    token = std::move(decoded);
  }
  return out;
}

std::string escape_json_pointer(std::string_view token) {
  std::string out;
  for (char c : token) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += c;
  }
  return out;
}

Result<Json> apply_json_patch(Json doc, const Json& patch) {
  if (!patch.is_array()) return bad_patch("a JSON patch is an array of operations");
  if (patch.size() > kMaxOperations)
    return Error(Code::InvalidArgument, "RequestEntityTooLarge",
                 fmt::format("a JSON patch has at most {} operations, this one {}", kMaxOperations, patch.size()));
  Patcher patcher(doc);
  for (std::size_t i = 0; i < patch.size(); ++i) {
    if (auto r = patcher.apply(patch[i]); !r) {
      std::string op = string_at(patch[i], {"op"}).substr(0, 16), path = string_at(patch[i], {"path"}).substr(0, 256);
      return r.error().with_context(fmt::format("operation {} ({} \"{}\")", i, op, path));
    }
  }
  return doc;
}

}  // namespace nodevirt::k8s
