#include <charconv>

#include "pkg/domain/xml.hpp"

namespace nodevirt::domain {

namespace {

constexpr int kMaxDepth = 64;

void append_utf8(std::string& out, unsigned c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : in_(text) {}

  Result<Element> document() {
    NV_TRY_VOID(skip_misc());
    NV_TRY(Element root, element(0));
    NV_TRY_VOID(skip_misc());
    if (at_ != in_.size()) return fail("there is something after the document's end");
    return root;
  }

 private:
  Error fail(std::string_view what) const {
    return Error(Code::InvalidArgument, fmt::format("XML at byte {}: {}", at_, what));
  }
  bool starts(std::string_view s) const { return in_.substr(at_).starts_with(s); }
  void spaces() {
    while (at_ < in_.size() && (in_[at_] == ' ' || in_[at_] == '\n' || in_[at_] == '\t' || in_[at_] == '\r')) ++at_;
  }
  // Comments and processing instructions between elements.
  Result<void> skip_misc() {
    for (;;) {
      spaces();
      std::string_view end = starts("<!--") ? "-->" : starts("<?") ? "?>" : "";
      if (end.empty()) return {};
      auto close = in_.find(end, at_ + 2);
      if (close == std::string_view::npos) return fail("a comment has no end");
      at_ = close + end.size();
    }
  }
  std::string name() {
    std::size_t begin = at_;
    while (at_ < in_.size() && in_[at_] != ' ' && in_[at_] != '\n' && in_[at_] != '\t' && in_[at_] != '\r' && in_[at_] != '/' &&
           in_[at_] != '>' && in_[at_] != '<' && in_[at_] != '=' && in_[at_] != '\'' && in_[at_] != '"' && in_[at_] != '&')
      ++at_;
    return std::string(in_.substr(begin, at_ - begin));
  }
  Result<std::string> unescape(std::string_view raw) const {
    std::string out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '<') return fail("'<' in a value");
      if (raw[i] != '&') {
        out += raw[i];
        continue;
      }
      auto end = raw.find(';', i);
      if (end == std::string_view::npos || end - i > 12) return fail("a reference has no end");
      std::string_view ref = raw.substr(i + 1, end - i - 1);
      if (ref == "amp") out += '&';
      else if (ref == "lt") out += '<';
      else if (ref == "gt") out += '>';
      else if (ref == "quot") out += '"';
      else if (ref == "apos") out += '\'';
      else if (ref.size() > 1 && ref[0] == '#') {
        bool hex = ref[1] == 'x';
        std::string_view digits = ref.substr(hex ? 2 : 1);
        unsigned code = 0;
        auto [stop, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
        if (failed != std::errc() || stop != digits.data() + digits.size() || code == 0 || code > 0x10ffff)
          return fail("a character reference names no character");
        append_utf8(out, code);
      } else {
        return fail("an unknown reference");
      }
      i = end;
    }
    return out;
  }

  Result<Element> element(int depth) {
    if (depth > kMaxDepth) return fail("the elements are nested too deep");
    if (!starts("<")) return fail("an element is missing");
    ++at_;
    std::string tag = name();
    if (tag.empty() || tag[0] == '!' || tag[0] == '?') return fail("an element has no name");
    Element out(tag);
    for (;;) {
      spaces();
      if (starts("/>")) {
        at_ += 2;
        return out;
      }
      if (starts(">")) break;
      std::string key = name();
      spaces();
      if (key.empty() || !starts("=")) return fail("an attribute is malformed");
      ++at_;
      spaces();
      if (at_ >= in_.size() || (in_[at_] != '\'' && in_[at_] != '"')) return fail("an attribute's value is not quoted");
      auto close = in_.find(in_[at_], at_ + 1);
      if (close == std::string_view::npos) return fail("an attribute's value has no end");
      NV_TRY(std::string value, unescape(in_.substr(at_ + 1, close - at_ - 1)));
      out.attr(std::move(key), std::move(value));
      at_ = close + 1;
    }
    ++at_;
    return content(std::move(out), depth);
  }

  Result<Element> content(Element out, int depth) {
    std::size_t begin = at_;
    auto open = in_.find('<', at_);
    if (open == std::string_view::npos) return fail("an element has no end");
    std::string_view text = in_.substr(begin, open - begin);
    at_ = open;
    if (starts("</")) {
      NV_TRY(std::string value, unescape(text));
      out.text(std::move(value));
    }
    for (;;) {
      if (!starts("</")) NV_TRY_VOID(skip_misc());
      if (starts("</")) {
        at_ += 2;
        if (name() != out.name()) return fail("an element ends under another name");
        spaces();
        if (!starts(">")) return fail("an end tag is malformed");
        ++at_;
        return out;
      }
      NV_TRY(Element below, element(depth + 1));
      out.adopt(std::move(below));
    }
  }

  std::string_view in_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Element> parse_xml(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) return Error(Code::InvalidArgument, "the XML document is too large");
  return Parser(text).document();
}

}  // namespace nodevirt::domain
