// One blob from a file into the body of a request, hashed while it is sent.
#ifndef STOWAGE_TRANSFER_BLOB_SENDER_H_
#define STOWAGE_TRANSFER_BLOB_SENDER_H_

#include <cstdint>
#include <string>

#include "socket.h"

namespace transfer {

struct Sending {
  std::string path;
  uint64_t offset = 0;
  uint64_t size = 0;
  // SHA-256 in hex that it must have: the end of a wrong blob is not sent.
  std::string sha256;
  Place place;
  // The head of an HTTP/1.1 request, whole, whose body is the blob.
  std::string head;
};

struct Sent {
  // Of the final answer, with the empty line at its end and the beginning of its body; empty where the blob is wrong.
  std::string answer;
  // Of a wrong blob: what was read of it, in bytes and as SHA-256 in hex.
  uint64_t read = 0;
  std::string sha256;
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
  std::string Answer();

  const Sending sending_;
  Socket socket_;
};

}  // namespace transfer

#endif  // STOWAGE_TRANSFER_BLOB_SENDER_H_
