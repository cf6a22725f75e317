// Command lines: --name value, --name=value, -n value, --switch.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::supervisor {

struct Flag {
  std::string name;         ///< without dashes
  char letter = 0;          ///< 0: none
  std::string value_name;   ///< empty: a switch
  std::string help;
  std::function<Result<void>(const std::string&)> set;
};

Flag switch_flag(std::string name, char letter, std::string help, bool& into);
Flag string_flag(std::string name, char letter, std::string value_name, std::string help, std::string& into);
Flag int_flag(std::string name, char letter, std::string value_name, std::string help, int& into, int min, int max);

/// The arguments that are no flags, in order; everything after "--" is one of them. An unknown flag is an
/// InvalidArgument that names the nearest known one. "--help" is reason "Help".
Result<std::vector<std::string>> parse_flags(const std::vector<std::string>& args, const std::vector<Flag>& flags);

std::string usage(const std::string& synopsis, const std::string& text, const std::vector<Flag>& flags);

}  // namespace nodevirt::supervisor
