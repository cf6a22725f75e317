// A list answer, split into its items without building the whole of it as values: lists are decoded
// item by item.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::k8s {

/// The views point into the scanned text.
struct ListPage {
  std::string resource_version, continue_token;
  std::vector<std::string_view> items;   ///< the JSON text of each; not yet validated
};

/// `body` is a Kubernetes List object. Errors say what is wrong with its frame; each item still has to be
/// parsed, and is judged alone.
Result<ListPage> scan_list(std::string_view body);

}  // namespace nodevirt::k8s
