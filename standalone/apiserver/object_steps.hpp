// The small steps that creating, updating and deleting an object share. Pure.
#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include "standalone/apiserver/admission/webhooks.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/schema/apply.hpp"
#include "standalone/schema/builtin.hpp"

namespace nodevirt::apiserver {

/// The object's metadata; made where there is none.
Json& mutable_meta(Json& object);
/// `to[key]` becomes what `from` has there: nothing where `from` has nothing or null.
void copy_or_erase(Json& to, const Json& from, const char* key);
/// Whatever keeps a deleted object in place.
bool held_by_finalizers(const ResourceInfo& info, const Json& object);
Json without_members(const Json& object, std::initializer_list<const char*> keys);
std::vector<Cause> causes_of(const std::vector<schema::FieldError>& errors);
/// Who managedFields names as the writer.
schema::Writer field_writer(const WriteContext& context, Clock::WallTime now);
AdmissionAttributes admission_attributes(const WriteContext& context, std::string operation);

}  // namespace nodevirt::apiserver
