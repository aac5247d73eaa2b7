// Writes one blob into one file: bytes that are pushed, and bytes that are read from a connection or another file
// straight into the memory from which they are hashed and written.
#ifndef STOWAGE_TRANSFER_BLOB_WRITER_H_
#define STOWAGE_TRANSFER_BLOB_WRITER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "../base/error.h"
#include "plain_hash.h"
#include "sha256_lane.h"
#include "socket.h"

namespace stowage::transfer {

struct BlobFile {
  std::string path;
  // A file descriptor that is open already, for the same file: it is neither synced nor closed here. -1: `path` is
  // opened.
  int handle = -1;
  uint64_t offset = 0;
  // Bytes of the blob that are in the file already; they are read and hashed.
  uint64_t held = 0;
  // Bypass the page cache, if the system can.
  bool direct = false;
  // Whether the blob is a layer, which is decompressed as it comes, to hash the tar in it.
  bool plain = false;
};

// What is known of a blob at its end.
struct Written {
  Sha256Hash digest{};
  std::optional<Plain> plain;
};

struct Request {
  // Successive requests for one blob have ascending numbers.
  uint32_t turn = 0;
  Place place;
  // The complete head of an HTTP/1.1 request.
  std::string head;
};

struct Answer {
  uint32_t turn = 0;
  // Of the final answer, with the empty line at its end, followed by the beginning of the body if that is not a blob
  // (the status is neither 200 nor 206).
  std::string head;
  std::optional<Error> failure;
};

// A range of a file. It has its number among the requests.
struct Copy {
  uint32_t turn = 0;
  std::string path;
  uint64_t offset = 0;
  uint64_t length = 0;
};

// The result of reading a body or a range.
struct Landed {
  std::optional<Error> failure;
};

class BlobWriter {
 public:
  // All are called from the thread that runs; they must be quick.
  struct Observer {
    // The queue is running low.
    std::function<void()> room;
    std::function<void(Answer)> answered;
    // How many bytes of a body or a range have arrived since the last call.
    std::function<void(uint64_t)> landing;
    std::function<void(Landed)> landed;
  };

  BlobWriter(BlobFile file, Observer observer);
  ~BlobWriter();

  // The thread of Run() carries these out in the order of the calls. Returns the number of bytes queued.
  size_t Push(std::vector<uint8_t> bytes);
  void Ask(Request request);
  // Skips `skip` bytes of the body of the last answer and reads the next `length`.
  void Land(uint64_t skip, uint64_t length);
  // Reads the range: less of it if the file ends early.
  void Read(Copy copy);
  // Abandons the request or range `turn`, and any before it, at once.
  void Leave(uint32_t turn);
  // Ends the blob: everything received is written, hashed and made durable.
  void Finish();
  // Ends it early: everything received is written, for another attempt to continue from.
  void Keep();
  void Cancel();

  // Returns what the blob is, or after Keep() what there is of it. Throws the errno's Error if writing fails.
  Written Run();

 private:
  struct Body {
    uint64_t skip;
    uint64_t length;
  };
  // Whether what was written is made durable, or only kept for another attempt.
  enum class End { kDurable, kKept };
  using Task = std::variant<std::vector<uint8_t>, Request, Body, Copy, End>;

  void Queue(Task task);
  Task Next();
  void Open();
  void OpenBuffered();
  void ReadHeld();
  void Add(const uint8_t* bytes, size_t size);
  // Notes that `size` more bytes of the slot are filled.
  void Filled(size_t size);
  void WriteSlot();
  void WriteFilled();
  void DoEnd(End end);
  void DoAsk(const Request& request);
  Answer AnswerTo(const Request& request, Socket& socket);
  void DoLand(const Body& body);
  std::optional<Error> Receive(Socket& socket, Body body);
  void DoRead(const Copy& copy);
  bool IsLeft(uint32_t turn);

  const BlobFile file_;
  const Observer observer_;
  int handle_ = -1;
  bool direct_ = false;
  std::unique_ptr<uint8_t, void (*)(uint8_t*)> slot_;
  size_t filled_ = 0;
  uint64_t size_ = 0;
  Sha256Lane hash_;
  std::optional<PlainHash> plain_;
  // The part of the body that arrived with the head.
  std::string rest_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  size_t queued_ = 0;
  bool cancelled_ = false;
  uint32_t left_ = 0;
  uint32_t turn_ = 0;
  std::shared_ptr<Socket> socket_;
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_BLOB_WRITER_H_
