#include "standalone/apiserver/store/object.hpp"

namespace nodevirt::apiserver {

namespace {

// Length-prefixed strings: nothing that a user writes can break the framing.
void put(std::string& out, std::string_view s) {
  out += std::to_string(s.size());
  out += ':';
  out += s;
}

bool take(std::string_view& in, std::string& out) {
  std::size_t n = 0, i = 0;
  while (i < in.size() && in[i] >= '0' && in[i] <= '9' && i < 10) n = n * 10 + std::size_t(in[i++] - '0');
  if (i == 0 || i >= in.size() || in[i] != ':' || in.size() - i - 1 < n) return false;
  out.assign(in.substr(i + 1, n));
  in.remove_prefix(i + 1 + n);
  return true;
}

void put_pairs(std::string& out, const Pairs& pairs) {
  put(out, std::to_string(pairs.size()));
  for (const auto& [k, v] : pairs) { put(out, k); put(out, v); }
}

bool take_pairs(std::string_view& in, Pairs& out) {
  std::string count;
  if (!take(in, count)) return false;
  std::size_t n = count.empty() ? 0 : std::strtoull(count.c_str(), nullptr, 10);
  for (std::size_t i = 0; i < n; ++i) {
    std::pair<std::string, std::string> p;
    if (!take(in, p.first) || !take(in, p.second)) return false;
    out.insert(std::move(p));
  }
  return true;
}

}  // namespace

std::string ObjectIndex::encode() const {
  std::string out;
  put(out, uid);
  put_pairs(out, labels);
  put_pairs(out, fields);
  put(out, summary);
  return out;
}

ObjectIndex ObjectIndex::decode(std::string_view text) {
  ObjectIndex index;
  if (take(text, index.uid) && take_pairs(text, index.labels) && take_pairs(text, index.fields))
    (void)take(text, index.summary);
  return index;
}

}  // namespace nodevirt::apiserver
