#include "standalone/supervisor/flags.hpp"

#include <charconv>

namespace nodevirt::supervisor {
namespace {

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t up = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = up;
    }
  }
  return row[b.size()];
}

Error unknown(const std::string& given, const std::vector<Flag>& flags) {
  const Flag* best = nullptr;
  for (const Flag& f : flags)
    if (!best || distance(given, f.name) < distance(given, best->name)) best = &f;
  std::string hint = best && given.size() < 64 && distance(given, best->name) <= 3 ? fmt::format(" (did you mean --{}?)", best->name) : "";
  return Error{Code::InvalidArgument, fmt::format("unknown flag --{}{}", given, hint)};
}

}  // namespace

Flag switch_flag(std::string name, char letter, std::string help, bool& into) {
  return {std::move(name), letter, "", std::move(help), [&into](const std::string& v) -> Result<void> {
            if (v != "" && v != "true" && v != "false") return Error{Code::InvalidArgument, "takes no value but true or false"};
            into = v != "false";
            return {};
          }};
}

Flag string_flag(std::string name, char letter, std::string value_name, std::string help, std::string& into) {
  return {std::move(name), letter, std::move(value_name), std::move(help), [&into](const std::string& v) -> Result<void> {
            into = v;
            return {};
          }};
}

Flag int_flag(std::string name, char letter, std::string value_name, std::string help, int& into, int min, int max) {
  return {std::move(name), letter, std::move(value_name), std::move(help), [&into, min, max](const std::string& v) -> Result<void> {
            int n = 0;
            auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), n);
            if (error != std::errc{} || end != v.data() + v.size() || n < min || n > max)
              return Error{Code::InvalidArgument, fmt::format("\"{}\" is not a number from {} to {}", v, min, max)};
            into = n;
            return {};
          }};
}

Result<std::vector<std::string>> parse_flags(const std::vector<std::string>& args, const std::vector<Flag>& flags) {
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& a = args[i];
    if (a == "--") {
      rest.insert(rest.end(), args.begin() + static_cast<std::ptrdiff_t>(i) + 1, args.end());
      break;
    }
    if (a == "--help" || a == "-h") return Error{Code::Cancelled, "Help", ""};
    if (a.size() < 2 || a[0] != '-') {
      rest.push_back(a);
      continue;
    }
    const bool longer = a[1] == '-';
    std::string name = longer ? a.substr(2) : a.substr(1, 1);
    std::optional<std::string> value;
    if (longer) {
      if (auto eq = name.find('='); eq != std::string::npos) {
        value = name.substr(eq + 1);
        name.resize(eq);
      }
    } else if (a.size() > 2) {
      value = a.substr(a[2] == '=' ? 3 : 2);
    }
    const Flag* flag = nullptr;
    for (const Flag& f : flags)
      if (longer ? f.name == name : (f.letter && f.letter == name[0])) flag = &f;
    if (!flag) return unknown(name, flags);
    if (!flag->value_name.empty() && !value) {
      if (i + 1 >= args.size()) return Error{Code::InvalidArgument, fmt::format("--{} needs a value: {}", flag->name, flag->value_name)};
      value = args[++i];
    }
    auto set = flag->set(value.value_or(""));
    if (!set.ok()) return set.error().with_context("--" + flag->name);
  }
  return rest;
}

std::string usage(const std::string& synopsis, const std::string& text, const std::vector<Flag>& flags) {
  std::string out = "Usage: " + synopsis + "\n\n" + text + "\n";
  if (!flags.empty()) out += "\nFlags:\n";
  for (const Flag& f : flags) {
    std::string left = fmt::format("  {}--{}{}", f.letter ? fmt::format("-{}, ", f.letter) : "    ", f.name,
                                   f.value_name.empty() ? "" : " " + f.value_name);
    out += fmt::format("{:<34} {}\n", left, f.help);
  }
  return out;
}

}  // namespace nodevirt::supervisor
