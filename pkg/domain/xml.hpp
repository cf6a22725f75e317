// A small XML document: elements, attributes, text. What is written is escaped; what is read is libvirt's.
#pragma once
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pkg/base/result.hpp"

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
  const std::string& name() const { return name_; }
  const std::string& text() const { return text_; }
  /// The attribute's value; empty when there is none.
  std::string get(std::string_view key) const;
  /// Sets an attribute that exists, or adds it.
  void set(std::string_view key, std::string value);
  /// The first child of that name, or nullptr.
  Element* find(std::string_view name);
  const Element* find(std::string_view name) const { return const_cast<Element*>(this)->find(name); }
  std::list<Element>& children() { return children_; }
  const std::list<Element>& children() const { return children_; }
  /// Calls `f` with every attribute's and every text's value in the whole tree; it may change them.
  void each_value(const std::function<void(std::string&)>& f);

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

/// Reads a document of the kind that libvirt writes: no DTD, no CDATA, no mixed content; comments and processing
/// instructions are left out. InvalidArgument for anything else, for more than `max_bytes` and for depths beyond 64.
Result<Element> parse_xml(std::string_view text, std::size_t max_bytes = 4u << 20);

}  // namespace nodevirt::domain
