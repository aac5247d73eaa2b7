// Sends one blob from a file as the body of a request.
#ifndef STOWAGE_TRANSFER_BLOB_SENDER_H_
#define STOWAGE_TRANSFER_BLOB_SENDER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "socket.h"

namespace stowage::transfer {

struct Sending {
  std::string path;
  uint64_t offset = 0;
  uint64_t size = 0;
  Place place;
  // The complete head of an HTTP/1.1 request whose body is the blob.
  std::string head;
  // Called with the bytes sent since the last time.
  std::function<void(uint64_t)> sent;
};

struct Sent {
  // Of the final answer, with the empty line at its end and the beginning of its body; empty if the file ended early.
  std::string answer;
  // In bytes.
  uint64_t size = 0;
};

class BlobSender {
 public:
  explicit BlobSender(Sending sending);

  // Throws as Socket does, or an errno's Error with the file as `written()` if that cannot be read.
  Sent Run();
  // From any thread: Run() throws ABORTED soon.
  void Cancel();
  void Finish() {}

 private:
  bool HasAnswer();
  std::string Answer();

  const Sending sending_;
  Socket socket_;
  // The part of the answer that arrived while the blob was being sent.
  std::string begun_;
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_BLOB_SENDER_H_
