// Validators of the served kinds, compiled when they are first needed.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "pkg/base/result.hpp"
#include "standalone/apiserver/resources/resource_info.hpp"
#include "standalone/schema/table.hpp"
#include "standalone/schema/validator.hpp"

namespace nodevirt::apiserver {

class Store;
using ValidatorPtr = std::shared_ptr<const schema::Validator>;

class SchemaCache {
 public:
  explicit SchemaCache(const Store& store) : store_(store) {}

  /// Null without an error for a kind that has no schema.
  Result<ValidatorPtr> validator(const ResourceInfo& info, const std::string& version);
  /// The raw openAPIV3Schema of a custom kind's version; null when it has none.
  Result<Json> raw_schema(const ResourceInfo& info, const std::string& version) const;
  std::shared_ptr<const schema::TableFormat> table(const ResourceInfo& info, const std::string& version);

 private:
  struct Entry {
    std::int64_t revision = 0;
    ValidatorPtr validator;
    std::shared_ptr<const schema::TableFormat> table;
  };
  Entry& entry(const ResourceInfo& info, const std::string& version);
  const Store& store_;
  std::map<std::string, Entry> entries_;
};

/// The text of the value at a path of keys in a JSON text, without parsing the rest; empty when absent.
/// `text` is one of the server's own (valid, compact).
std::string_view raw_member(std::string_view text, std::string_view key);
std::vector<std::string_view> raw_elements(std::string_view array);

}  // namespace nodevirt::apiserver
