#include "virtctl/suggest.hpp"

#include <algorithm>
#include <numeric>

namespace nodevirt::virtctl {

namespace {

constexpr std::size_t kLongestWord = 64;

// Letters to insert, remove or change, two exchanged neighbours counting as one.
std::size_t slips(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

}  // namespace

std::vector<std::string> close_words(const std::string& word, const std::vector<std::string>& known) {
  std::vector<std::pair<std::size_t, std::string>> found;
  if (word.empty() || word.size() > kLongestWord) return {};
  for (const std::string& candidate : known) {
    std::size_t distance = candidate.starts_with(word) ? 0 : slips(word, candidate);
    if (distance <= std::min<std::size_t>(2, word.size() / 2)) found.emplace_back(distance, candidate);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> out;
  for (auto& [distance, candidate] : found) out.push_back(std::move(candidate));
  return out;
}

}  // namespace nodevirt::virtctl
