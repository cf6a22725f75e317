// What a person may have meant by a word that is none; pure.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::virtctl {

/// The known words that are at most two slips of a finger from `word`, or that it begins; nearest first.
std::vector<std::string> close_words(const std::string& word, const std::vector<std::string>& known);

}  // namespace nodevirt::virtctl
