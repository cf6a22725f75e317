#include "virt-handler/migration/prepared.hpp"

#include <google/protobuf/util/json_util.h>

namespace nodevirt::virt_handler::migration {
namespace {

bool file_name(const std::string& text) {
  return !text.empty() && text.size() <= 64 && text.front() != '.' && text.find('/') == std::string::npos && text.find('\0') == std::string::npos;
}

std::string last_part(const std::string& path) {
  std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

Json hello_message(const Hello& hello) {
  std::string text;
  Json out{{"type", "hello"}, {"token", hello.token}, {"prepared", Json::object()}};
  if (google::protobuf::util::MessageToJsonString(hello.prepared, &text).ok())
    if (auto json = parse_json(text); json.ok()) out["prepared"] = std::move(*json);
  return out;
}

Result<Hello> parse_hello(const Json& message) {
  Hello out;
  out.token = string_at(message, {"token"}).substr(0, 128);
  const Json* prepared = find(message, {"prepared"});
  if (!prepared || !prepared->is_object()) return Error{Code::InvalidArgument, "the target does not say what it has prepared"};
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  auto parsed = google::protobuf::util::JsonStringToMessage(dump_json(*prepared), &out.prepared, options);
  if (!parsed.ok()) return Error{Code::InvalidArgument, "what the target has prepared is not understood: " + parsed.ToString()};
  for (const std::string* path : {&out.prepared.memory_socket(), &out.prepared.disk_socket()})
    if (!path->empty() && !file_name(last_part(*path))) return Error{Code::InvalidArgument, "the target names a socket that is none"};
  return out;
}

Json plain_message(const char* type) { return Json{{"type", type}}; }
Json refused_message(const Error& error) { return Json{{"type", "refused"}, {"reason", error.reason}, {"error", error.message.substr(0, 2048)}}; }
Json released_message(bool guest_was_paused) { return Json{{"type", "released"}, {"guestWasPaused", guest_was_paused}}; }

}  // namespace nodevirt::virt_handler::migration
