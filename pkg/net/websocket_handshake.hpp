// The opening handshake of RFC 6455 and the stream that follows it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "pkg/net/fd_stream.hpp"
#include "pkg/net/message.hpp"
#include "pkg/net/websocket.hpp"

namespace nodevirt::net {

std::string websocket_key();
std::string websocket_accept(std::string_view key);
/// The comma-separated tokens of a header's values.
std::vector<std::string> header_tokens(const Headers& headers, std::string_view name);
/// True when one of the tokens is `token`, without regard to case.
bool has_token(const Headers& headers, std::string_view name, std::string_view token);

enum class WebSocketRole { Server, Client };
std::unique_ptr<WebSocket> make_websocket(std::shared_ptr<FdStream> stream, WebSocketRole role, std::string subprotocol,
                                          std::size_t max_message = 1u << 20);

}  // namespace nodevirt::net
