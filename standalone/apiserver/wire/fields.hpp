// The table of wire/fields.cpp.
#pragma once
#include <cstddef>
#include <string_view>

namespace nodevirt::apiserver::wire {

extern const std::string_view kFields[];
extern const std::size_t kFieldsCount;

}  // namespace nodevirt::apiserver::wire
