// The answer to a request of HTTP/1.1, as far as it is read here: JavaScript parses it. Source: RFC 9112.
#ifndef STOWAGE_TRANSFER_HTTP_ANSWER_H_
#define STOWAGE_TRANSFER_HTTP_ANSWER_H_

#include <string>

#include "socket.h"

namespace stowage::transfer {

// The head of the final answer, with the empty line at its end; `*rest` is what came of it before, and then what came
// behind it. Throws as Socket, and HPE_HEADER_OVERFLOW where it has no end.
std::string ReceiveHead(Socket& socket, std::string* rest);
// Of an answer that begins before it is expected, takes what there is and adds it to `*rest`. Whether that is no more
// than answers before the final one, which want nothing.
bool ReceiveInterim(Socket& socket, std::string* rest);
// Whether its body is what was asked for: its status is 200 or 206.
bool HasBlob(const std::string& head);
// The body behind `head`, of which `rest` has come: as much of it as anyone reads for what it says.
std::string ReceiveText(Socket& socket, const std::string& head, std::string rest);

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_HTTP_ANSWER_H_
