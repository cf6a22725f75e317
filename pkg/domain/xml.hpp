// A small XML document that is only written: elements, attributes, text; everything is escaped.
#pragma once
#include <list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nodevirt::domain {

class Element {
 public:
  explicit Element(std::string name) : name_(std::move(name)) {}

  /// References stay valid as long as the parent lives.
  Element& child(std::string name) { return children_.emplace_back(std::move(name)); }
  Element& attr(std::string key, std::string value) {
    attributes_.emplace_back(std::move(key), std::move(value));
    return *this;
  }
  Element& attr_if(bool condition, std::string key, std::string value) {
    return condition ? attr(std::move(key), std::move(value)) : *this;
  }
  Element& text(std::string value) {
    text_ = std::move(value);
    return *this;
  }
  /// Moves a finished element in as the last child.
  void adopt(Element element) { children_.push_back(std::move(element)); }

  /// Indented by two spaces per level, ends with a newline. Characters that XML cannot carry are left out.
  std::string to_string() const;

 private:
  void write(std::string& out, int depth) const;

  std::string name_, text_;
  std::vector<std::pair<std::string, std::string>> attributes_;
  std::list<Element> children_;
};

}  // namespace nodevirt::domain
