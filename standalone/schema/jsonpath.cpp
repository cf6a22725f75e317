#include "standalone/schema/jsonpath.hpp"

#include <cctype>
#include <charconv>
#include <deque>
#include <optional>

namespace nodevirt::schema {

namespace {

constexpr std::size_t kMaxExpression = 4096;
constexpr int kMaxRecursion = 256;

struct Step;
using Steps = std::vector<Step>;

struct Operand {
  bool literal = false;
  Json value;
  std::shared_ptr<const Steps> path;  ///< relative to @
};

struct Filter {
  Operand left, right;
  std::string op;  ///< "" tests for existence
};

struct Step {
  enum Kind { Field, Wildcard, Index, Slice, Union, Recurse, FilterStep } kind;
  std::string name;
  std::vector<std::int64_t> numbers;
  std::vector<std::string> names;
  std::optional<std::int64_t> from, to;
  std::int64_t step = 1;
  std::shared_ptr<const Filter> filter;
};

}  // namespace

struct JsonPath::Program {
  Steps steps;
};

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Steps> all() {
    skip_blanks();
    if (eat('{')) {
      auto close = text_.rfind('}');
      if (close == std::string_view::npos || close < at_) return error("missing }");
      if (text_.find_first_not_of(" \t\n", close + 1) != std::string_view::npos) return error("text after }");
      text_ = text_.substr(0, close);
    }
    NV_TRY(Steps steps, path(0));
    skip_blanks();
    if (at_ != text_.size()) return error("unexpected character");
    return steps;
  }

 private:
  Error error(std::string_view what) const {
    return Error(Code::InvalidArgument, "Invalid", "JSONPath: " + std::string(what) + " at offset " + std::to_string(at_));
  }
  bool more() const { return at_ < text_.size(); }
  char peek() const { return more() ? text_[at_] : '\0'; }
  bool eat(char c) {
    if (peek() != c || !more()) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (more() && (peek() == ' ' || peek() == '\t' || peek() == '\n')) ++at_;
  }
  static bool name_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '/' || static_cast<unsigned char>(c) >= 0x80;
  }

  /// A bare name; a backslash makes the next character part of it (.metadata.annotations.a\.b/c).
  Result<std::string> name() {
    std::string out;
    while (more()) {
      if (peek() == '\\' && at_ + 1 < text_.size()) {
        out += text_[at_ + 1];
        at_ += 2;
      } else if (name_char(peek())) {
        out += text_[at_++];
      } else {
        break;
      }
    }
    if (out.empty()) return error("expected a name");
    return out;
  }

  Result<std::string> string() {
    const char quote = text_[at_++];
    std::string out;
    while (more() && peek() != quote) {
      if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
      out += text_[at_++];
    }
    if (!eat(quote)) return error("missing quote");
    return out;
  }

  Result<std::int64_t> integer() {
    std::int64_t out = 0;
    const char* first = text_.data() + at_;
    auto [end, code] = std::from_chars(first, text_.data() + text_.size(), out);
    if (code != std::errc() || end == first) return error("expected a number");
    at_ += std::size_t(end - first);
    return out;
  }

  Result<Steps> path(int depth) {
    if (depth > 8) return error("nested too deeply");
    Steps steps;
    if (depth == 0) {
      eat('$') || eat('@');
      skip_blanks();
      // "a.b" is read as ".a.b".
      if (more() && peek() != '.' && peek() != '[') {
        NV_TRY(std::string n, name());
        steps.push_back({Step::Field, std::move(n)});
      }
    }
    while (more()) {
      if (eat('.')) {
        if (eat('.')) {
          steps.push_back({Step::Recurse});
          if (peek() == '[') continue;
        }
        if (eat('*')) {
          steps.push_back({Step::Wildcard});
        } else if (peek() != '[' && more()) {
          NV_TRY(std::string n, name());
          steps.push_back({Step::Field, std::move(n)});
        }
      } else if (eat('[')) {
        NV_TRY(Step s, bracket(depth));
        steps.push_back(std::move(s));
      } else {
        break;
      }
    }
    return steps;
  }

  Result<Step> bracket(int depth) {
    skip_blanks();
    Step s{Step::Index};
    if (eat('*')) {
      s.kind = Step::Wildcard;
    } else if (peek() == '?') {
      ++at_;
      NV_TRY(s, filter(depth));
    } else if (peek() == '\'' || peek() == '"') {
      s.kind = Step::Union;
      do {
        skip_blanks();
        if (peek() != '\'' && peek() != '"') return error("expected a quoted name");
        NV_TRY(std::string n, string());
        s.names.push_back(std::move(n));
        skip_blanks();
      } while (eat(','));
      if (s.names.size() == 1) {
        s.kind = Step::Field;
        s.name = s.names.front();
      }
    } else {
      NV_TRY_VOID(numbers(s));
    }
    skip_blanks();
    if (!eat(']')) return error("missing ]");
    return s;
  }

  Result<void> numbers(Step& s) {
    std::optional<std::int64_t> part[3];
    int colons = 0;
    for (;;) {
      skip_blanks();
      if (peek() == '-' || std::isdigit(static_cast<unsigned char>(peek()))) {
        NV_TRY(part[colons], integer());
      }
      skip_blanks();
      if (peek() != ':' || colons == 2) break;
      ++at_;
      ++colons;
    }
    if (colons) {
      s.kind = Step::Slice;
      s.from = part[0];
      s.to = part[1];
      s.step = part[2].value_or(1);
      if (s.step <= 0) return error("the step of a slice must be positive");
      return {};
    }
    if (!part[0]) return error("expected an index");
    s.numbers.push_back(*part[0]);
    while (eat(',')) {
      skip_blanks();
      NV_TRY(std::int64_t n, integer());
      s.numbers.push_back(n);
      skip_blanks();
    }
    return {};
  }

  Result<Step> filter(int depth) {
    skip_blanks();
    if (!eat('(')) return error("expected ( after ?");
    auto f = std::make_shared<Filter>();
    NV_TRY(f->left, operand(depth));
    skip_blanks();
    for (std::string_view op : {"==", "!=", "<=", ">=", "<", ">"})
      if (text_.substr(at_).starts_with(op)) {
        f->op = op;
        at_ += op.size();
        break;
      }
    if (!f->op.empty()) {
      NV_TRY(f->right, operand(depth));
    }
    skip_blanks();
    if (!eat(')')) return error("missing ) in a filter");
    Step s{Step::FilterStep};
    s.filter = std::move(f);
    return s;
  }

  Result<Operand> operand(int depth) {
    skip_blanks();
    Operand o;
    if (eat('@') || eat('$')) {
      NV_TRY(Steps steps, path(depth + 1));
      o.path = std::make_shared<const Steps>(std::move(steps));
      return o;
    }
    o.literal = true;
    if (peek() == '\'' || peek() == '"') {
      NV_TRY(std::string s, string());
      o.value = std::move(s);
      return o;
    }
    std::size_t end = at_;
    while (end < text_.size() && (name_char(text_[end]) || text_[end] == '.' || text_[end] == '+')) ++end;
    const auto word = text_.substr(at_, end - at_);
    if (word.empty()) return error("expected a value");
    at_ = end;
    if (auto v = parse_json(word); v && !v->is_structured()) o.value = std::move(*v);
    else o.value = std::string(word);
    return o;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class Evaluator {
 public:
  std::vector<const Json*> run(const Steps& steps, const Json& root) {
    std::vector<const Json*> current{&root};
    for (const Step& s : steps) {
      std::vector<const Json*> next;
      for (const Json* v : current) apply(s, *v, next);
      current = std::move(next);
      if (current.empty()) break;
    }
    return current;
  }

 private:
  void put(std::vector<const Json*>& out, const Json& v) {
    if (out.size() < JsonPath::kMaxResults && ++steps_ < JsonPath::kMaxSteps) out.push_back(&v);
  }

  void apply(const Step& s, const Json& v, std::vector<const Json*>& out) {
    if (++steps_ >= JsonPath::kMaxSteps) return;
    switch (s.kind) {
      case Step::Field: return field(v, s.name, out);
      case Step::Union:
        for (const auto& n : s.names) field(v, n, out);
        return;
      case Step::Wildcard:
        if (v.is_structured())
          for (const Json& e : v) put(out, e);
        return;
      case Step::Index:
        for (std::int64_t n : s.numbers) index(v, n, out);
        return;
      case Step::Slice: return slice(s, v, out);
      case Step::Recurse: return recurse(v, out, 0);
      case Step::FilterStep:
        if (v.is_structured())
          for (const Json& e : v)
            if (passes(*s.filter, e)) put(out, e);
        return;
    }
  }

  void field(const Json& v, const std::string& name, std::vector<const Json*>& out) {
    if (!v.is_object()) return;
    if (auto it = v.find(name); it != v.end()) put(out, *it);
  }

  void index(const Json& v, std::int64_t n, std::vector<const Json*>& out) {
    if (!v.is_array()) return;
    if (n < 0) n += std::int64_t(v.size());
    if (n >= 0 && n < std::int64_t(v.size())) put(out, v[std::size_t(n)]);
  }

  void slice(const Step& s, const Json& v, std::vector<const Json*>& out) {
    if (!v.is_array()) return;
    const auto size = std::int64_t(v.size());
    auto clamp = [size](std::int64_t n) { return std::clamp<std::int64_t>(n < 0 ? n + size : n, 0, size); };
    const std::int64_t to = clamp(s.to.value_or(size));
    for (std::int64_t i = clamp(s.from.value_or(0)); i < to; i = s.step > size ? to : i + s.step) put(out, v[std::size_t(i)]);
  }

  void recurse(const Json& v, std::vector<const Json*>& out, int depth) {
    if (depth > kMaxRecursion) return;
    put(out, v);
    if (v.is_structured() && steps_ < JsonPath::kMaxSteps)
      for (const Json& e : v) recurse(e, out, depth + 1);
  }

  std::optional<Json> value(const Operand& o, const Json& element) {
    if (o.literal) return o.value;
    auto found = run(*o.path, element);
    if (found.empty()) return std::nullopt;
    return *found.front();
  }

  bool passes(const Filter& f, const Json& element) {
    auto left = value(f.left, element);
    if (f.op.empty()) return left.has_value();
    auto right = value(f.right, element);
    if (!left || !right) return false;
    if (f.op == "==") return *left == *right;
    if (f.op == "!=") return *left != *right;
    const bool comparable = (left->is_number() && right->is_number()) || (left->is_string() && right->is_string());
    if (!comparable) return false;
    if (f.op == "<") return *left < *right;
    if (f.op == "<=") return *left <= *right;
    if (f.op == ">") return *left > *right;
    return *left >= *right;
  }

  std::size_t steps_ = 0;
};

}  // namespace

JsonPath::JsonPath() = default;
JsonPath::JsonPath(JsonPath&&) noexcept = default;
JsonPath& JsonPath::operator=(JsonPath&&) noexcept = default;
JsonPath::JsonPath(const JsonPath&) = default;
JsonPath& JsonPath::operator=(const JsonPath&) = default;
JsonPath::~JsonPath() = default;

Result<JsonPath> JsonPath::compile(std::string_view expression) {
  if (expression.size() > kMaxExpression) return Error(Code::InvalidArgument, "Invalid", "JSONPath: longer than 4096 bytes");
  NV_TRY(Steps steps, Parser(expression).all());
  auto program = std::make_shared<Program>();
  program->steps = std::move(steps);
  JsonPath out;
  out.program_ = std::move(program);
  return out;
}

std::vector<const Json*> JsonPath::evaluate(const Json& value) const {
  if (!program_) return {};
  return Evaluator{}.run(program_->steps, value);
}

std::vector<std::string> JsonPath::simple_fields() const {
  std::vector<std::string> out;
  if (!program_) return out;
  for (const Step& s : program_->steps) {
    if (s.kind != Step::Field) return {};
    out.push_back(s.name);
  }
  return out;
}

}  // namespace nodevirt::schema
