#include "pkg/domain/xml.hpp"

namespace nodevirt::domain {

namespace {

void escape(std::string& out, std::string_view in) {
  for (char c : in) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&apos;"; break;
      case '\t': out += "&#9;"; break;
      case '\n': out += "&#10;"; break;
      default:
        // The other control characters are in no XML 1.0 document.
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
    }
  }
}

}  // namespace

void Element::write(std::string& out, int depth) const {
  out.append(static_cast<std::size_t>(depth) * 2, ' ');
  out += '<';
  out += name_;
  for (auto& [key, value] : attributes_) {
    out += ' ';
    out += key;
    out += "='";
    escape(out, value);
    out += '\'';
  }
  if (text_.empty() && children_.empty()) {
    out += "/>\n";
    return;
  }
  out += '>';
  escape(out, text_);
  if (!children_.empty()) {
    out += '\n';
    for (auto& c : children_) c.write(out, depth + 1);
    out.append(static_cast<std::size_t>(depth) * 2, ' ');
  }
  out += "</";
  out += name_;
  out += ">\n";
}

std::string Element::get(std::string_view key) const {
  for (auto& [k, v] : attributes_)
    if (k == key) return v;
  return {};
}

void Element::set(std::string_view key, std::string value) {
  for (auto& [k, v] : attributes_)
    if (k == key) {
      v = std::move(value);
      return;
    }
  attributes_.emplace_back(std::string(key), std::move(value));
}

Element* Element::find(std::string_view name) {
  for (auto& c : children_)
    if (c.name_ == name) return &c;
  return nullptr;
}

void Element::each_value(const std::function<void(std::string&)>& f) {
  for (auto& [k, v] : attributes_) f(v);
  if (!text_.empty()) f(text_);
  for (auto& c : children_) c.each_value(f);
}

std::string Element::to_string() const {
  std::string out;
  write(out, 0);
  return out;
}

}  // namespace nodevirt::domain
