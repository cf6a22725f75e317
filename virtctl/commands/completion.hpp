// What Tab offers. The shells' scripts call `virtctl __complete WORDS... CURRENT`, so that every shell offers
// the same: verbs and flags as the parser knows them, names from the server.
#pragma once
#include "virtctl/session.hpp"

namespace CLI {
class App;
class Option;
}

namespace nodevirt::virtctl {

inline constexpr std::string_view kCompleteWord = "__complete";

/// Where a command line stands before the word that is being completed; pure.
struct Cursor {
  const CLI::App* command = nullptr;       ///< the innermost verb
  const CLI::Option* value_of = nullptr;   ///< the flag whose value comes next
  std::vector<std::string> positionals;    ///< of that verb
  std::string ns, context, kubeconfig;     ///< as the line gives them
};
Cursor cursor_after(const CLI::App& app, const std::vector<std::string>& words);

/// The offers that need no server: verbs, flags, fixed values.
std::vector<std::string> local_offers(const Cursor& cursor, const std::string& current);

/// Prints one offer per line; nothing when the shell shall offer files.
void print_offers(const CLI::App& app, Globals globals, std::vector<std::string> words);

}  // namespace nodevirt::virtctl
