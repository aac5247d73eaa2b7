// A TCP connection, with or without TLS, that one thread uses and any thread can end.
#ifndef STOWAGE_TRANSFER_SOCKET_H_
#define STOWAGE_TRANSFER_SOCKET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tls.h"

namespace stowage::transfer {

// How often a waiting thread checks whether it was stopped, in milliseconds.
constexpr int kGlance = 50;

struct Place {
  // Numeric addresses of one host: "127.0.0.1", "::1".
  std::vector<std::string> addresses;
  uint16_t port = 0;
  // In milliseconds: the limit for each address, and for how long nothing may be received or sent.
  int connect_timeout = 0;
  int silence = 0;
  std::optional<TlsSettings> tls;
};

class Socket {
 public:
  Socket() = default;
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Connects to the first address that answers, and performs the TLS handshake if one is wanted. Throws the errno's
  // Error of the first address that failed, what Tls::Handshake() throws, or ABORTED.
  void Connect(const Place& place);
  // Sends all of it. Throws as Receive() does.
  void Send(const void* data, size_t size);
#ifdef __linux__
  // Sends `size` bytes of an open file, without copying them if there is no TLS; fewer if the file ends before. Throws
  // as Send() does.
  size_t SendFile(int file, uint64_t offset, size_t size);
#endif
  // Waits for bytes; 0 at the end. Throws ETIMEDOUT if nothing comes for too long, ECONNRESET and the like, or ABORTED.
  size_t Receive(void* data, size_t size);
  // Whether there is something to receive, or it has ended.
  bool HasNews();
  // Ends it, from any thread: a waiting call throws ABORTED soon.
  void Stop();

 private:
  int ConnectTo(const std::string& address, const Place& place);
  void Greet(const Place& place);
#ifdef __linux__
  size_t SendRead(int file, uint64_t offset, size_t size);
#endif
  // Throws the error behind a TLS call that transferred nothing; returns if that was the end.
  void ExpectEnd(TlsOutcome outcome, int error, const char* call) const;
  void ExpectRunning() const;
  void ExpectInterruption(int error, const char* call) const;

  std::mutex mutex_;  // held while handle_ changes
  int handle_ = -1;
  int silence_ = 0;
  std::unique_ptr<Tls> tls_;
  std::atomic<bool> stopped_{false};
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_SOCKET_H_
