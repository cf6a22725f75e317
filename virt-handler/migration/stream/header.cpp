#include "virt-handler/migration/stream/header.hpp"

#include "pkg/base/json.hpp"

namespace nodevirt::virt_handler::migration {
namespace {

constexpr std::string_view kNames[] = {"control", "libvirt", "memory", "disk"};
constexpr std::size_t kMaxId = 64, kMaxToken = 128, kMaxError = 512;

bool plain_word(std::string_view text, std::size_t max) {
  if (text.empty() || text.size() > max || text.front() == '.') return false;
  return text.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-") == std::string_view::npos;
}

Error bad(std::string what) { return Error{Code::InvalidArgument, "migration stream: " + std::move(what)}; }

}  // namespace

std::string_view to_string(Channel channel) { return kNames[static_cast<int>(channel)]; }

Result<StreamHeader> parse_header(std::string_view line) {
  if (line.size() >= kMaxHeader) return bad("the first line is too long");
  auto json = parse_json(line, 8);
  if (!json.ok()) return bad("the first line is no JSON");
  if (!json->is_object()) return bad("the first line is no JSON object");
  if (int_at(*json, {"version"}) != 1) return bad("only version 1 is spoken here");
  StreamHeader out;
  out.migration = string_at(*json, {"migration"});
  out.instance = string_at(*json, {"instance"});
  out.token = string_at(*json, {"token"});
  if (!plain_word(out.migration, kMaxId)) return bad("\"migration\" is no uid");
  if (!plain_word(out.instance, kMaxId)) return bad("\"instance\" is no uid");
  if (!out.token.empty() && !plain_word(out.token, kMaxToken)) return bad("\"token\" is none");
  std::string channel = string_at(*json, {"channel"});
  for (int i = 0; i < 4; ++i) {
    if (kNames[i] != channel) continue;
    out.channel = static_cast<Channel>(i);
    return out;
  }
  return bad("there is no such channel");
}

std::string format_header(const StreamHeader& header) {
  Json out{{"version", 1}, {"migration", header.migration}, {"instance", header.instance}, {"channel", std::string(to_string(header.channel))}};
  if (!header.token.empty()) out["token"] = header.token;
  return dump_json(out) + "\n";
}

std::string accepted_line() { return "{\"ok\":true}\n"; }

std::string refused_line(const Error& error) { return dump_json(Json{{"error", error.message.substr(0, kMaxError)}}) + "\n"; }

Result<void> parse_answer(std::string_view line) {
  auto json = parse_json(line, 8);
  if (!json.ok() || !json->is_object()) return Error{Code::Unavailable, "the other node's virt-handler answered what is no JSON object"};
  if (bool_at(*json, {"ok"})) return {};
  std::string why = string_at(*json, {"error"}).substr(0, kMaxError);
  return Error{Code::FailedPrecondition, "the other node's virt-handler refused the stream: " + (why.empty() ? "it does not say why" : why)};
}

}  // namespace nodevirt::virt_handler::migration
