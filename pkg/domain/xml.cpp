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

std::string Element::to_string() const {
  std::string out;
  write(out, 0);
  return out;
}

}  // namespace nodevirt::domain
