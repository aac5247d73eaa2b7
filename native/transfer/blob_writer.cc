#include "blob_writer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "http_answer.h"
#include "source_file.h"

namespace stowage::transfer {

namespace {

// How much is written at a time, and the alignment that a direct write needs for its offset, length and memory.
constexpr size_t kSlot = 2u << 20;
constexpr size_t kAlignment = 4096;
// Slots that are kept for the next writers.
constexpr size_t kSpare = 16;
// If fewer bytes are queued, more are asked for.
constexpr size_t kLowWater = 1u << 20;
// Between two reports of progress: bytes received, or time.
constexpr uint64_t kStep = 4u << 20;
constexpr std::chrono::milliseconds kPause(250);

// One huge page if there are any: the kernel pins it in one step for a direct write.
uint8_t* AllocateSlot() {
  void* memory = nullptr;
  if (posix_memalign(&memory, kSlot, kSlot) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(memory, kSlot, MADV_HUGEPAGE);
#endif
  return static_cast<uint8_t*>(memory);
}

// Slots of finished writers, for later ones. Never destroyed, so it outlives all threads.
struct Spare {
  std::mutex mutex;
  std::vector<uint8_t*> slots;
};

Spare& SpareSlots() {
  static Spare* const spare = new Spare;
  return *spare;
}

uint8_t* TakeSlot() {
  Spare& spare = SpareSlots();
  std::lock_guard<std::mutex> lock(spare.mutex);
  if (spare.slots.empty()) return AllocateSlot();
  uint8_t* slot = spare.slots.back();
  spare.slots.pop_back();
  return slot;
}

void LeaveSlot(uint8_t* slot) {
  Spare& spare = SpareSlots();
  std::lock_guard<std::mutex> lock(spare.mutex);
  if (spare.slots.size() >= kSpare) return std::free(slot);
  spare.slots.push_back(slot);
}

}  // namespace

BlobWriter::BlobWriter(BlobFile file, Observer observer)
    : file_(std::move(file)), observer_(std::move(observer)), slot_(TakeSlot(), LeaveSlot) {
  if (file_.plain) plain_.emplace();
}

BlobWriter::~BlobWriter() {
  if (handle_ >= 0 && handle_ != file_.handle) close(handle_);
}

size_t BlobWriter::Push(std::vector<uint8_t> bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (bytes.empty()) return queued_;
  queued_ += bytes.size();
  tasks_.push_back(std::move(bytes));
  changed_.notify_all();
  return queued_;
}

void BlobWriter::Ask(Request request) { Queue(std::move(request)); }

void BlobWriter::Land(uint64_t skip, uint64_t length) { Queue(Body{skip, length}); }

void BlobWriter::Read(Copy copy) { Queue(std::move(copy)); }

void BlobWriter::Finish() { Queue(End::kDurable); }

void BlobWriter::Keep() { Queue(End::kKept); }

void BlobWriter::Leave(uint32_t turn) {
  std::lock_guard<std::mutex> lock(mutex_);
  left_ = std::max(left_, turn);
  if (socket_ && turn_ <= left_) socket_->Stop();
}

void BlobWriter::Cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  if (socket_) socket_->Stop();
  changed_.notify_all();
}

void BlobWriter::Queue(Task task) {
  std::lock_guard<std::mutex> lock(mutex_);
  tasks_.push_back(std::move(task));
  changed_.notify_all();
}

BlobWriter::Task BlobWriter::Next() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return cancelled_ || !tasks_.empty(); });
  if (cancelled_) throw Error("ABORTED", "interrupted before the end");
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  const auto* bytes = std::get_if<std::vector<uint8_t>>(&task);
  if (bytes == nullptr) return task;
  queued_ -= bytes->size();
  const bool room = queued_ < kLowWater;
  lock.unlock();
  if (room) observer_.room();
  return task;
}

Written BlobWriter::Run() {
  Open();
  ReadHeld();
  for (;;) {
    const Task task = Next();
    if (const auto* bytes = std::get_if<std::vector<uint8_t>>(&task)) {
      Add(bytes->data(), bytes->size());
    } else if (const auto* request = std::get_if<Request>(&task)) {
      DoAsk(*request);
    } else if (const auto* body = std::get_if<Body>(&task)) {
      DoLand(*body);
    } else if (const auto* copy = std::get_if<Copy>(&task)) {
      DoRead(*copy);
    } else {
      const End end = std::get<End>(task);
      DoEnd(end);
      Written written{hash_.Finish(), std::nullopt};
      if (plain_ && end == End::kDurable) written.plain = plain_->Finish();
      return written;
    }
  }
}

void BlobWriter::Open() {
  handle_ = file_.handle;
  if (handle_ >= 0) return;
#ifdef O_DIRECT
  if (file_.direct) {
    handle_ = open(file_.path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_DIRECT);
    direct_ = handle_ >= 0;
    if (!direct_ && errno != EINVAL) throw SystemError(errno, "open " + file_.path);
  }
#endif
  if (handle_ < 0) OpenBuffered();
}

void BlobWriter::OpenBuffered() {
  const int handle = open(file_.path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (handle < 0) throw SystemError(errno, "open " + file_.path);
  if (handle_ >= 0) close(handle_);
  handle_ = handle;
  direct_ = false;
}

void BlobWriter::ReadHeld() {
  while (size_ < file_.held) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kSlot, file_.held - size_));
    // A direct read needs whole blocks, and returns how much there was
    const ssize_t read =
        pread(handle_, slot_.get(), direct_ ? kSlot : wanted, static_cast<off_t>(file_.offset + size_));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0 && direct_ && errno == EINVAL) {
      OpenBuffered();
      continue;
    }
    if (read < 0) throw SystemError(errno, "read " + file_.path);
    if (read == 0) throw Error("EIO", file_.path + " was cut short while it was read");
    const size_t mine = std::min(static_cast<size_t>(read), wanted);
    hash_.Update(slot_.get(), mine);
    if (plain_) plain_->Add(slot_.get(), mine);
    size_ += mine;
  }
}

void BlobWriter::Add(const uint8_t* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const size_t part = std::min(size - done, kSlot - filled_);
    std::memcpy(slot_.get() + filled_, bytes + done, part);
    Filled(part);
    done += part;
  }
}

void BlobWriter::Filled(size_t size) {
  filled_ += size;
  if (filled_ == kSlot) WriteSlot();
}

// Hashed while it is written.
void BlobWriter::WriteSlot() {
  hash_.Offer(slot_.get(), filled_);
  try {
    WriteFilled();
  } catch (...) {
    hash_.Await();  // it is still reading the slot
    throw;
  }
  if (plain_) plain_->Add(slot_.get(), filled_);
  // To decompress takes so long that another lane has had its turn
  hash_.Await(plain_ ? std::chrono::microseconds(0) : Sha256Lane::kPatience);
  size_ += filled_;
  filled_ = 0;
}

void BlobWriter::WriteFilled() {
  const uint64_t place = file_.offset + size_;
  for (size_t done = 0; done < filled_;) {
    // Only the last write needs padding, which is cut off again
    const size_t length = direct_ ? (filled_ + kAlignment - 1) / kAlignment * kAlignment : filled_;
    const ssize_t written = pwrite(handle_, slot_.get() + done, length - done, static_cast<off_t>(place + done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EINVAL && direct_) {
      OpenBuffered();  // some file systems accept the flag but not the write
      continue;
    }
    if (written < 0) throw SystemError(errno, "write");
    done += static_cast<size_t>(written);
    if (direct_ && done < filled_) done -= done % kAlignment;
  }
}

void BlobWriter::DoEnd(End end) {
  const bool padded = direct_;
  WriteSlot();
  if (handle_ == file_.handle) return;
  if (padded && ftruncate(handle_, static_cast<off_t>(file_.offset + size_)) != 0) throw SystemError(errno, "write");
  if (end == End::kDurable && fsync(handle_) != 0) throw SystemError(errno, "fsync");
  const int handle = std::exchange(handle_, -1);
  if (close(handle) != 0) throw SystemError(errno, "write");
}

void BlobWriter::DoAsk(const Request& request) {
  rest_.clear();
  auto socket = std::make_shared<Socket>();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    socket_ = socket;
    turn_ = request.turn;
    if (cancelled_ || turn_ <= left_) socket_->Stop();
  }
  Answer answer;
  try {
    answer = AnswerTo(request, *socket);
  } catch (const Error& error) {
    answer.failure = error;
  }
  answer.turn = request.turn;
  observer_.answered(std::move(answer));
}

Answer BlobWriter::AnswerTo(const Request& request, Socket& socket) {
  socket.Connect(request.place);
  socket.Send(request.head.data(), request.head.size());
  Answer answer;
  answer.head = ReceiveHead(socket, &rest_);
  if (!HasBlob(answer.head)) answer.head += ReceiveText(socket, answer.head, std::exchange(rest_, {}));
  return answer;
}

void BlobWriter::DoLand(const Body& body) {
  std::shared_ptr<Socket> socket;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    socket = socket_;
  }
  Landed landed;
  if (socket) {
    landed.failure = Receive(*socket, body);
  } else {
    landed.failure = Error("ECONNRESET", "there is no request whose answer could be read");
  }
  observer_.landed(std::move(landed));
}

// Returns an error of the connection; throws one of the file.
std::optional<Error> BlobWriter::Receive(Socket& socket, Body body) {
  auto& [skip, left] = body;
  uint64_t news = 0;
  auto told = std::chrono::steady_clock::now();
  std::optional<Error> failure;
  for (size_t at = 0; left > 0 && !failure;) {
    // Skipped bytes go where the next ones will overwrite them
    const size_t most = static_cast<size_t>(std::min<uint64_t>(skip > 0 ? skip : left, kSlot - filled_));
    size_t size = 0;
    if (at < rest_.size()) {
      size = std::min(most, rest_.size() - at);
      std::memcpy(slot_.get() + filled_, rest_.data() + at, size);
      at += size;
    } else {
      try {
        size = socket.Receive(slot_.get() + filled_, most);
      } catch (const Error& error) {
        failure = error;
        break;
      }
      if (size == 0) {
        failure = Error("ECONNRESET", "the server closed the connection " + std::to_string(left) + " bytes early");
      }
    }
    if (skip > 0) {
      skip -= size;
      continue;
    }
    Filled(size);
    left -= size;
    news += size;
    const auto now = std::chrono::steady_clock::now();
    if (news < kStep && now - told < kPause) continue;
    told = now;
    observer_.landing(std::exchange(news, 0));
  }
  rest_.clear();
  if (news > 0) observer_.landing(news);
  return failure;
}

void BlobWriter::DoRead(const Copy& copy) {
  Landed landed;
  std::optional<SourceFile> file;
  uint64_t news = 0;
  for (uint64_t done = 0; done < copy.length && !landed.failure;) {
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(copy.length - done, kSlot - filled_));
    size_t size = 0;
    try {
      if (IsLeft(copy.turn)) throw Error("ABORTED", "interrupted before the end");
      if (!file) file.emplace(copy.path);
      size = file->Read(slot_.get() + filled_, wanted, copy.offset + done);
    } catch (const Error& error) {
      landed.failure = error;
    }
    Filled(size);
    done += size;
    news += size;
    if (news >= kStep) observer_.landing(std::exchange(news, 0));
    if (size < wanted) break;
  }
  if (news > 0) observer_.landing(news);
  observer_.landed(std::move(landed));
}

bool BlobWriter::IsLeft(uint32_t turn) {
  std::lock_guard<std::mutex> lock(mutex_);
  return cancelled_ || turn <= left_;
}

}  // namespace stowage::transfer
