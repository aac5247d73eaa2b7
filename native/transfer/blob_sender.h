// One blob from a file into the body of a request.
#ifndef STOWAGE_TRANSFER_BLOB_SENDER_H_
#define STOWAGE_TRANSFER_BLOB_SENDER_H_

#include <cstdint>
#include <string>

#include "socket.h"

namespace stowage::transfer {

struct Sending {
  std::string path;
  uint64_t offset = 0;
  uint64_t size = 0;
  Place place;
  // The head of an HTTP/1.1 request, whole, whose body is the blob.
  std::string head;
};

struct Sent {
  // Of the final answer, with the empty line at its end and the beginning of its body; empty where the file ended
  // early.
  std::string answer;
  // In bytes.
  uint64_t size = 0;
};

class BlobSender {
 public:
  explicit BlobSender(Sending sending);

  // Throws as Socket; an errno's Error with the file as `written()` where that cannot be read.
  Sent Run();
  // From any thread: Run() throws ABORTED soon.
  void Cancel();
  void Finish() {}

 private:
  bool HasAnswer();
  std::string Answer();

  const Sending sending_;
  Socket socket_;
  // Of the answer, what came while the blob was sent.
  std::string begun_;
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_BLOB_SENDER_H_
