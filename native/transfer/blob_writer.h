// One blob into one file: bytes that are pushed, and bytes that are read from a connection straight into the memory
// they are hashed in and written from.
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
#include "sha256_lane.h"
#include "socket.h"

namespace stowage::transfer {

struct BlobFile {
  std::string path;
  // A file descriptor that is open already, for the same file: neither synced nor closed here. -1: `path` is opened.
  int handle = -1;
  uint64_t offset = 0;
  // Bytes of the blob that stand there already; they are read and hashed.
  uint64_t held = 0;
  // Past the page cache where the system can.
  bool direct = false;
};

struct Request {
  // What is asked for one after another for one blob has rising numbers.
  uint32_t turn = 0;
  Place place;
  // The head of an HTTP/1.1 request, whole.
  std::string head;
};

struct Answer {
  uint32_t turn = 0;
  // Of the final answer, with the empty line at its end; behind it the beginning of a body that is no blob (its status
  // is neither 200 nor 206).
  std::string head;
  std::optional<Error> failure;
};

// What became of a body that was to be read.
struct Landed {
  std::optional<Error> failure;
};

class BlobWriter {
 public:
  // All are called from the thread that runs; they must be quick.
  struct Observer {
    // Less is queued than it takes to keep going.
    std::function<void()> room;
    std::function<void(Answer)> answered;
    // So many bytes of a body have come since the last call.
    std::function<void(uint64_t)> landing;
    std::function<void(Landed)> landed;
  };

  BlobWriter(BlobFile file, Observer observer);
  ~BlobWriter();

  // What is asked for is done in this order, on the thread of Run(). Returns the number of bytes queued.
  size_t Push(std::vector<uint8_t> bytes);
  void Ask(Request request);
  // Reads `length` bytes behind the next `skip` of the body of the last answer.
  void Land(uint64_t skip, uint64_t length);
  // Lets go of what was asked for as `turn`, at once.
  void Leave(uint32_t turn);
  // The last: what came is written and hashed, and made durable.
  void Finish();
  // Instead: what came is written, for another try to go on with.
  void Keep();
  void Cancel();

  // Gives the SHA-256 of all of the blob; of a file that is only kept, of what there is. Throws the errno's Error of
  // writing.
  Sha256Hash Run();

 private:
  struct Body {
    uint64_t skip;
    uint64_t length;
  };
  // Whether what was written is made durable, or only kept for another attempt.
  enum class End { kDurable, kKept };
  using Task = std::variant<std::vector<uint8_t>, Request, Body, End>;

  void Queue(Task task);
  Task Next();
  void Open();
  void OpenBuffered();
  void ReadHeld();
  void Add(const uint8_t* bytes, size_t size);
  // So many bytes of the slot were filled.
  void Filled(size_t size);
  void WriteSlot();
  void WriteFilled();
  void DoEnd(End end);
  void DoAsk(const Request& request);
  Answer AnswerTo(const Request& request, Socket& socket);
  void DoLand(const Body& body);
  std::optional<Error> Receive(Socket& socket, Body body);

  const BlobFile file_;
  const Observer observer_;
  int handle_ = -1;
  bool direct_ = false;
  std::unique_ptr<uint8_t, void (*)(uint8_t*)> slot_;
  size_t filled_ = 0;
  uint64_t size_ = 0;
  Sha256Lane hash_;
  // Of the body, what came with the head.
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
