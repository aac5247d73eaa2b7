#include "sha256_lane.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <vector>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define STOWAGE_SHA_EXTENSIONS 1
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace stowage::transfer {

namespace {

constexpr size_t kBlock = 64;
// How many blocks of one lane are hashed without another before one is looked for again.
constexpr size_t kAlone = 4096;

// Never destroyed: exit() may run while threads still hash.
std::mutex& shared = *new std::mutex;
std::condition_variable& changed = *new std::condition_variable;
// Of all lanes, those that offer something.
std::vector<Sha256Lane*>& offered = *new std::vector<Sha256Lane*>;
int lanes = 0;
// Of HashThread, and what wakes it.
int threads = 0;
std::condition_variable& work = *new std::condition_variable;
// How long it waits for a second lane.
constexpr std::chrono::microseconds kPartner(300);

#ifdef STOWAGE_SHA_EXTENSIONS

bool HasExtensions() {
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (ebx >> 29 & 1) == 0) return false;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx >> 9 & 1) != 0 && (ecx >> 19 & 1) != 0;  // SSSE3, SSE4.1
}

// FIPS 180-4, 4.2.2.
alignas(16) constexpr uint32_t kConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

struct Lane {
  __m128i abef, cdgh;  // the state, in the order that the instructions need
  __m128i abef_before, cdgh_before;
  __m128i words[4];  // the last sixteen words of the message schedule
};

// Hashes the same number of blocks of two lanes, interleaved step by step. FIPS 180-4, 6.2.2; Intel SHA Extensions.
__attribute__((target("sha,sse4.1,ssse3"))) void CompressBoth(uint32_t* const states[2], const uint8_t* const data[2],
                                                              size_t blocks) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  Lane lanes[2];
  for (int n = 0; n < 2; n++) {
    const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<__m128i*>(states[n])), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<__m128i*>(states[n] + 4)), 0x1b);
    lanes[n].abef = _mm_alignr_epi8(cdab, efgh, 8);
    lanes[n].cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
  }
  for (size_t block = 0; block < blocks; block++) {
    for (Lane& lane : lanes) {
      lane.abef_before = lane.abef;
      lane.cdgh_before = lane.cdgh;
    }
#pragma GCC unroll 16
    for (size_t step = 0; step < 16; step++) {
#pragma GCC unroll 2
      for (int n = 0; n < 2; n++) {
        Lane& lane = lanes[n];
        __m128i* const words = lane.words;
        if (step < 4) {
          const uint8_t* const from = data[n] + kBlock * block + 16 * step;
          words[step] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), big_endian);
        } else {
          const __m128i part = _mm_sha256msg1_epu32(words[step & 3], words[(step + 1) & 3]);
          const __m128i before = _mm_alignr_epi8(words[(step + 3) & 3], words[(step + 2) & 3], 4);
          words[step & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(part, before), words[(step + 3) & 3]);
        }
        const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kConstants + 4 * step));
        const __m128i sum = _mm_add_epi32(words[step & 3], constants);
        lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
        lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
      }
    }
    for (Lane& lane : lanes) {
      lane.abef = _mm_add_epi32(lane.abef, lane.abef_before);
      lane.cdgh = _mm_add_epi32(lane.cdgh, lane.cdgh_before);
    }
  }
  for (int n = 0; n < 2; n++) {
    const __m128i feba = _mm_shuffle_epi32(lanes[n].abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(lanes[n].cdgh, 0xb1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(states[n]), _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(states[n] + 4), _mm_alignr_epi8(dchg, feba, 8));
  }
}

#else

bool HasExtensions() { return false; }

void CompressBoth(uint32_t* const*, const uint8_t* const*, size_t) {}

#endif

const bool kPairs = HasExtensions();

}  // namespace

Sha256Lane::Sha256Lane() {
  SHA256_Init(&context_);
  std::lock_guard<std::mutex> lock(shared);
  lanes++;
}

Sha256Lane::~Sha256Lane() {
  Await();
  std::lock_guard<std::mutex> lock(shared);
  lanes--;
}

void Sha256Lane::Offer(const void* data, size_t size) {
  // Only whole blocks can be hashed by others
  if (context_.num != 0) return Update(data, size);
  std::unique_lock<std::mutex> lock(shared);
  if (!kPairs && threads == 0) {
    lock.unlock();
    return Update(data, size);
  }
  data_ = static_cast<const uint8_t*>(data);
  blocks_ = size / kBlock;
  tail_ = size % kBlock;
  state_ = State::kOffered;
  offered.push_back(this);
  if (threads > 0) return work.notify_one();
  while (state_ == State::kOffered && Other(this) != nullptr) Hash(this, &lock);
}

void Sha256Lane::Await(std::chrono::microseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::unique_lock<std::mutex> lock(shared);
  for (;;) {
    changed.wait(lock, [this] { return state_ != State::kTaken; });
    if (state_ == State::kIdle) return;
    if (patience.count() > 0 && lanes > 1 && Other(this) == nullptr &&
        changed.wait_until(lock, deadline, [this] { return state_ != State::kOffered; }))
      continue;
    Hash(this, &lock);
  }
}

void Sha256Lane::Update(const void* data, size_t size) { SHA256_Update(&context_, data, size); }

Sha256Hash Sha256Lane::Finish() {
  Sha256Hash hash;
  SHA256_Final(hash.data(), &context_);
  SHA256_Init(&context_);
  return hash;
}

// Another lane that offers, if two can be hashed together; with the mutex held.
Sha256Lane* Sha256Lane::Other(const Sha256Lane* own) {
  const auto found =
      std::find_if(offered.begin(), offered.end(), [own](const Sha256Lane* lane) { return lane != own; });
  return kPairs && found != offered.end() ? *found : nullptr;
}

// Hashes some of what the lane offers, with another lane's if there is one. The mutex is held, and released meanwhile.
void Sha256Lane::Hash(Sha256Lane* lane, std::unique_lock<std::mutex>* lock) {
  Sha256Lane* const other = Other(lane);
  lane->Take();
  if (other != nullptr) other->Take();
  lock->unlock();
  if (other != nullptr) {
    const size_t both = std::min(lane->blocks_, other->blocks_);
    uint32_t* const states[2] = {lane->context_.h, other->context_.h};
    const uint8_t* const data[2] = {lane->data_, other->data_};
    CompressBoth(states, data, both);
    lane->AddBlocks(both);
    other->AddBlocks(both);
  } else {
    const size_t some = std::min(lane->blocks_, kAlone);
    lane->Update(lane->data_, some * kBlock);
    lane->data_ += some * kBlock;
    lane->blocks_ -= some;
  }
  for (Sha256Lane* const each : {lane, other})
    if (each != nullptr && each->blocks_ == 0) each->Update(each->data_, each->tail_);
  lock->lock();
  lane->Return();
  if (other != nullptr) other->Return();
  changed.notify_all();
}

void Sha256Lane::Take() {
  offered.erase(std::find(offered.begin(), offered.end(), this));
  state_ = State::kTaken;
}

// What is left is on offer again.
void Sha256Lane::Return() {
  state_ = blocks_ == 0 ? State::kIdle : State::kOffered;
  if (blocks_ > 0) offered.push_back(this);
}

// Notes that `blocks` are hashed: libcrypto counts bits.
void Sha256Lane::AddBlocks(size_t blocks) {
  const uint64_t bits = (static_cast<uint64_t>(context_.Nh) << 32 | context_.Nl) + blocks * kBlock * 8;
  context_.Nh = static_cast<SHA_LONG>(bits >> 32);
  context_.Nl = static_cast<SHA_LONG>(bits);
  data_ += blocks * kBlock;
  blocks_ -= blocks;
}

std::shared_ptr<HashThread> HashThread::Get() {
  static std::mutex& mutex = *new std::mutex;
  static std::weak_ptr<HashThread>& running = *new std::weak_ptr<HashThread>;
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<HashThread> thread = running.lock();
  if (thread) return thread;
  thread = std::make_shared<HashThread>();
  try {
    thread->thread_ = std::thread([started = thread.get()] { started->Run(); });
  } catch (const std::system_error&) {
    return nullptr;
  }
  running = thread;
  return thread;
}

HashThread::~HashThread() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard<std::mutex> lock(shared);
    stopping_ = true;
    work.notify_all();
  }
  thread_.join();
}

void HashThread::Run() const {
  std::unique_lock<std::mutex> lock(shared);
  threads++;
  for (;;) {
    work.wait(lock, [this] { return stopping_ || !offered.empty(); });
    // Two together take little longer than one
    if (kPairs && offered.size() == 1)
      work.wait_for(lock, kPartner, [this] { return stopping_ || offered.size() != 1; });
    if (stopping_) break;
    if (!offered.empty()) Sha256Lane::Hash(offered.front(), &lock);
  }
  threads--;
}

}  // namespace stowage::transfer
