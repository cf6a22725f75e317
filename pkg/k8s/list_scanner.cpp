#include "pkg/k8s/list_scanner.hpp"

#include "pkg/base/json.hpp"

namespace nodevirt::k8s {

namespace {

// Finds where values end by counting brackets outside strings; what is inside is not looked at.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void space() { while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_; }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool end() { space(); return at_ == text_.size(); }

  /// One whole value, or an empty view when there is none.
  std::string_view value() {
    space();
    std::size_t begin = at_, depth = 0;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        if (!string()) return {};
        if (depth == 0) break;
        continue;
      }
      if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth == 0) break;
        if (--depth == 0) { ++at_; break; }
      } else if (depth == 0 && (c == ',' || c == ':' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
        break;
      }
      ++at_;
    }
    return depth == 0 ? text_.substr(begin, at_ - begin) : std::string_view();
  }

 private:
  bool string() {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') ++at_;
      else if (text_[at_] == '"') { ++at_; return true; }
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Error bad_list(std::string_view what) { return {Code::InvalidArgument, "BadRequest", fmt::format("not a list: {}", what)}; }

}  // namespace

Result<ListPage> scan_list(std::string_view body) {
  ListPage page;
  bool has_items = false, has_metadata = false;
  Scanner in(body);
  if (!in.take('{')) return bad_list("it is no JSON object");
  if (!in.take('}')) {
    do {
      std::string_view key = in.value();
      if (key.size() < 2 || key.front() != '"' || !in.take(':')) return bad_list("a member has no name");
      if (key == "\"items\"") {
        has_items = true;
        if (!in.take('[')) {
          if (in.value() != "null") return bad_list("items is no array");
        } else if (!in.take(']')) {
          do {
            std::string_view item = in.value();
            if (item.empty()) return bad_list("an item is cut off");
            page.items.push_back(item);
          } while (in.take(','));
          if (!in.take(']')) return bad_list("items does not end");
        }
        continue;
      }
      std::string_view value = in.value();
      if (value.empty()) return bad_list("a member has no value");
      if (key == "\"metadata\"") {
        NV_TRY(Json metadata, parse_json(value, 16));
        has_metadata = true;
        page.resource_version = string_at(metadata, {"resourceVersion"});
        page.continue_token = string_at(metadata, {"continue"});
      }
    } while (in.take(','));
    if (!in.take('}')) return bad_list("it does not end");
  }
  if (!in.end()) return bad_list("something follows its end");
  if (!has_items || !has_metadata) return bad_list("items or metadata are missing");
  return page;
}

}  // namespace nodevirt::k8s
