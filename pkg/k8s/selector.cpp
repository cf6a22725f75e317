#include "pkg/k8s/selector.hpp"

#include <charconv>

namespace nodevirt::k8s {

namespace {

using Op = LabelRequirement::Operator;
constexpr std::size_t kMaxText = 64u << 10;
constexpr std::size_t kMaxRequirements = 1000;

Error bad_selector(std::string message) { return {Code::InvalidArgument, "BadRequest", std::move(message)}; }

bool alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool name_part(std::string_view s) {
  if (s.empty() || s.size() > 63 || !alnum(s.front()) || !alnum(s.back())) return false;
  return std::all_of(s.begin(), s.end(), [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::optional<std::int64_t> integer(const std::string& s) {
  std::int64_t v = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (s.empty() || error != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return v;
}

Result<void> validate(const LabelRequirement& r) {
  if (auto wrong = check_label_key(r.key); !wrong.empty()) return bad_selector(wrong);
  switch (r.op) {
    case Op::In: case Op::NotIn:
      if (r.values.empty()) return bad_selector(fmt::format("label \"{}\": In and NotIn need values", r.key));
      break;
    case Op::Exists: case Op::DoesNotExist:
      if (!r.values.empty()) return bad_selector(fmt::format("label \"{}\": Exists and DoesNotExist take no values", r.key));
      break;
    case Op::Gt: case Op::Lt:
      if (r.values.size() != 1 || !integer(*r.values.begin()))
        return bad_selector(fmt::format("label \"{}\": Gt and Lt need one integer", r.key));
      break;
  }
  for (const auto& v : r.values)
    if (auto wrong = check_label_value(v); !wrong.empty()) return bad_selector(wrong);
  return {};
}

// A cursor over the text form: words, and the punctuation between them.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  void skip() { while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_; }
  bool end() { skip(); return at_ == text_.size(); }
  bool take(std::string_view symbol) {
    skip();
    if (text_.substr(at_, symbol.size()) != symbol) return false;
    at_ += symbol.size();
    return true;
  }
  std::string word() {
    skip();
    auto begin = at_;
    while (at_ < text_.size() && std::string_view(" \t,()=!<>").find(text_[at_]) == std::string_view::npos) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  bool at_boundary() { skip(); return at_ == text_.size() || text_[at_] == ','; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

Result<LabelRequirement> parse_requirement(Lexer& in) {
  LabelRequirement r;
  if (in.take("!")) {
    r.key = in.word();
    r.op = Op::DoesNotExist;
    return r;
  }
  r.key = in.word();
  if (in.at_boundary()) return r;
  if (in.take("==") || in.take("=")) {
    r.op = Op::In;
    r.values.insert(in.word());
  } else if (in.take("!=")) {
    r.op = Op::NotIn;
    r.values.insert(in.word());
  } else if (in.take(">")) {
    r.op = Op::Gt;
    r.values.insert(in.word());
  } else if (in.take("<")) {
    r.op = Op::Lt;
    r.values.insert(in.word());
  } else {
    std::string op = in.word();
    if (op != "in" && op != "notin")
      return bad_selector(fmt::format("label selector: after \"{}\" one of = == != > < in notin is expected", r.key));
    r.op = op == "in" ? Op::In : Op::NotIn;
    if (!in.take("(")) return bad_selector("label selector: \"(\" is expected after in and notin");
    do r.values.insert(in.word()); while (in.take(","));
    if (!in.take(")")) return bad_selector("label selector: \")\" is missing");
  }
  return r;
}

Result<std::vector<LabelRequirement>> decode_expressions(const Json& expressions) {
  std::vector<LabelRequirement> out;
  if (expressions.is_null()) return out;
  if (!expressions.is_array() || expressions.size() > kMaxRequirements)
    return bad_selector("matchExpressions must be a list of at most 1000");
  static const std::map<std::string, Op> ops = {{"In", Op::In}, {"NotIn", Op::NotIn}, {"Exists", Op::Exists},
                                                {"DoesNotExist", Op::DoesNotExist}, {"Gt", Op::Gt}, {"Lt", Op::Lt}};
  for (const auto& e : expressions) {
    LabelRequirement r;
    r.key = string_at(e, {"key"});
    std::string op = string_at(e, {"operator"});
    auto it = ops.find(op);
    if (it == ops.end()) return bad_selector(fmt::format("\"{}\" is not a label selector operator", op.substr(0, 32)));
    r.op = it->second;
    if (const Json* values = find(e, {"values"}); values && values->is_array())
      for (const auto& v : *values) {
        if (!v.is_string()) return bad_selector("matchExpressions[].values must be strings");
        r.values.insert(v.get<std::string>());
      }
    NV_TRY_VOID(validate(r));
    out.push_back(std::move(r));
  }
  return out;
}

Result<std::vector<LabelRequirement>> decode_map(const Json& labels) {
  std::vector<LabelRequirement> out;
  if (labels.is_null()) return out;
  if (!labels.is_object()) return bad_selector("matchLabels must be an object");
  for (auto it = labels.begin(); it != labels.end(); ++it) {
    if (!it->is_string()) return bad_selector(fmt::format("matchLabels \"{}\" must be a string", it.key()));
    LabelRequirement r{it.key(), Op::In, {it->get<std::string>()}};
    NV_TRY_VOID(validate(r));
    out.push_back(std::move(r));
  }
  return out;
}

std::string text_of(const LabelRequirement& r) {
  std::string values = fmt::format("{}", fmt::join(r.values, ","));
  switch (r.op) {
    case Op::In: return r.values.size() == 1 ? r.key + "=" + values : fmt::format("{} in ({})", r.key, values);
    case Op::NotIn: return r.values.size() == 1 ? r.key + "!=" + values : fmt::format("{} notin ({})", r.key, values);
    case Op::Exists: return r.key;
    case Op::DoesNotExist: return "!" + r.key;
    case Op::Gt: return r.key + ">" + values;
    case Op::Lt: return r.key + "<" + values;
  }
  return {};
}

}  // namespace

bool LabelRequirement::matches(const Labels& labels) const {
  auto it = labels.find(key);
  bool has = it != labels.end();
  switch (op) {
    case Op::In: return has && values.contains(it->second);
    case Op::NotIn: return !has || !values.contains(it->second);
    case Op::Exists: return has;
    case Op::DoesNotExist: return !has;
    case Op::Gt: case Op::Lt: {
      if (!has || values.empty()) return false;
      auto left = integer(it->second), right = integer(*values.begin());
      return left && right && (op == Op::Gt ? *left > *right : *left < *right);
    }
  }
  return false;
}

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  if (text.size() > kMaxText) return bad_selector("the label selector is longer than 64 KiB");
  LabelSelector out;
  Lexer in(text);
  if (in.end()) return out;
  do {
    if (out.requirements_.size() == kMaxRequirements) return bad_selector("the label selector has too many parts");
    NV_TRY(LabelRequirement r, parse_requirement(in));
    NV_TRY_VOID(validate(r));
    out.requirements_.push_back(std::move(r));
  } while (in.take(","));
  if (!in.end()) return bad_selector(fmt::format("label selector \"{}\": \",\" is expected between its parts", text.substr(0, 200)));
  return out;
}

Result<LabelSelector> LabelSelector::from_json(const Json& selector) {
  LabelSelector out;
  if (selector.is_null()) {
    out.nothing_ = true;
    return out;
  }
  if (!selector.is_object()) return bad_selector("a label selector is an object");
  auto labels = selector.find("matchLabels");
  if (labels != selector.end()) { NV_TRY(out.requirements_, decode_map(*labels)); }
  auto expressions = selector.find("matchExpressions");
  if (expressions != selector.end()) {
    NV_TRY(auto more, decode_expressions(*expressions));
    out.requirements_.insert(out.requirements_.end(), more.begin(), more.end());
  }
  return out;
}

Result<LabelSelector> LabelSelector::from_map(const Json& labels) {
  LabelSelector out;
  out.nothing_ = labels.is_null();
  NV_TRY(out.requirements_, decode_map(labels));
  return out;
}

Result<LabelSelector> LabelSelector::from_expressions(const Json& expressions) {
  LabelSelector out;
  NV_TRY(out.requirements_, decode_expressions(expressions));
  return out;
}

bool LabelSelector::matches(const Labels& labels) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const auto& r) { return r.matches(labels); });
}

std::string LabelSelector::to_string() const {
  std::string out;
  for (const auto& r : requirements_) out += (out.empty() ? "" : ",") + text_of(r);
  return out;
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  if (text.size() > kMaxText) return bad_selector("the field selector is longer than 64 KiB");
  FieldSelector out;
  std::size_t i = 0;
  while (i < text.size()) {
    if (out.requirements_.size() == kMaxRequirements) return bad_selector("the field selector has too many parts");
    FieldRequirement r;
    auto op = text.find_first_of("=!,", i);
    if (op == std::string_view::npos || text[op] == ',' || op == i)
      return bad_selector(fmt::format("field selector \"{}\": FIELD=VALUE or FIELD!=VALUE is expected", text.substr(0, 200)));
    r.field = std::string(text.substr(i, op - i));
    if (text[op] == '!') {
      r.equals = false;
      if (op + 1 >= text.size() || text[op + 1] != '=') return bad_selector("field selector: \"=\" is expected after \"!\"");
      i = op + 2;
    } else {
      i = op + 1;
      if (i < text.size() && text[i] == '=') ++i;
    }
    for (; i < text.size() && text[i] != ','; ++i) {
      if (text[i] == '\\') {
        if (i + 1 >= text.size() || std::string_view("\\,=").find(text[i + 1]) == std::string_view::npos)
          return bad_selector("field selector: \"\\\" is followed by one of \\ , =");
        ++i;
      } else if (text[i] == '=') {
        return bad_selector(fmt::format("field selector \"{}\": \"=\" inside a value is written \"\\=\"", text.substr(0, 200)));
      }
      r.value += text[i];
    }
    if (i < text.size()) ++i;
    out.requirements_.push_back(std::move(r));
  }
  return out;
}

bool FieldSelector::matches(const std::function<std::string(const std::string&)>& get) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const auto& r) { return (get(r.field) == r.value) == r.equals; });
}

bool FieldSelector::matches(const Json& object) const {
  return matches([&](const std::string& field) -> std::string {
    const Json* at = &object;
    for (std::size_t i = 0; i <= field.size() && at;) {
      auto dot = std::min(field.find('.', i), field.size());
      at = at->is_object() ? find(*at, {std::string_view(field).substr(i, dot - i)}) : nullptr;
      i = dot + 1;
    }
    if (!at || at->is_null() || at->is_structured()) return "";
    return at->is_string() ? at->get<std::string>() : at->dump();
  });
}

Labels labels_of(const Json& object) {
  Labels out;
  if (const Json* labels = find(object, {"metadata", "labels"}); labels && labels->is_object())
    for (auto it = labels->begin(); it != labels->end(); ++it)
      if (it->is_string()) out.emplace(it.key(), it->get<std::string>());
  return out;
}

std::string check_label_key(std::string_view key) {
  auto slash = key.find('/');
  std::string_view name = slash == std::string_view::npos ? key : key.substr(slash + 1);
  std::string shown(key.substr(0, 80));
  if (slash != std::string_view::npos) {
    auto prefix = key.substr(0, slash);
    bool right = !prefix.empty() && prefix.size() <= 253 && alnum(prefix.front()) && alnum(prefix.back());
    for (std::size_t i = 0; right && i < prefix.size(); ++i) {
      char c = prefix[i];
      right = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
      if (c == '.' && i > 0 && prefix[i - 1] == '.') right = false;
    }
    if (!right) return fmt::format("label key \"{}\": the part before \"/\" must be a DNS name", shown);
  }
  if (!name_part(name))
    return fmt::format("label key \"{}\" must be at most 63 characters of a-z A-Z 0-9 - _ . and begin and end "
                       "with a letter or digit", shown);
  return {};
}

std::string check_label_value(std::string_view value) {
  if (value.empty() || name_part(value)) return {};
  return fmt::format("label value \"{}\" must be empty, or at most 63 characters of a-z A-Z 0-9 - _ . that begin and "
                     "end with a letter or digit", value.substr(0, 80));
}

}  // namespace nodevirt::k8s
