// Receives the answer to an HTTP/1.1 request, which JavaScript parses. Source: RFC 9112.
#ifndef STOWAGE_TRANSFER_HTTP_ANSWER_H_
#define STOWAGE_TRANSFER_HTTP_ANSWER_H_

#include <string>

#include "socket.h"

namespace stowage::transfer {

// The head of the final answer, with the empty line at its end. `*rest` holds what arrived before the call, and
// afterwards what arrived after the head. Throws as Socket does, and HPE_HEADER_OVERFLOW if the head is too long.
std::string ReceiveHead(Socket& socket, std::string* rest);
// For an answer that begins early: adds what has arrived to `*rest`. True if that is only interim answers, which need
// no action.
bool ReceiveInterim(Socket& socket, std::string* rest);
// Whether its body is the requested blob: its status is 200 or 206.
bool HasBlob(const std::string& head);
// The body after `head`, of which `rest` has arrived: enough of it for an error message.
std::string ReceiveText(Socket& socket, const std::string& head, std::string rest);

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_HTTP_ANSWER_H_
