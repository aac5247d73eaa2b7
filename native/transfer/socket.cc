#include "socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "../base/error.h"

namespace stowage::transfer {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;
#endif

// How much of a file is read and encrypted at a time.
constexpr size_t kPiece = 1u << 20;

// Numeric addresses only, so no name is looked up.
struct Resolved {
  addrinfo* list = nullptr;
  Resolved(const std::string& address, uint16_t port) {
    addrinfo hints = {};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) {
      throw Error("EADDRNOTAVAIL", "not an IP address: " + address);
    }
  }
  ~Resolved() { freeaddrinfo(list); }
};

void SetTimeout(int handle, int option, int milliseconds) {
  timeval time = {};
  time.tv_sec = milliseconds / 1000;
  time.tv_usec = static_cast<suseconds_t>(milliseconds % 1000) * 1000;
  setsockopt(handle, SOL_SOCKET, option, &time, sizeof time);
}

}  // namespace

Socket::~Socket() {
  if (handle_ >= 0) close(handle_);
}

void Socket::Connect(const Place& place) {
  std::optional<Error> first;
  for (const std::string& address : place.addresses) {
    const int error = ConnectTo(address, place);
    if (error == 0) return Greet(place);
    if (!first) first = SystemError(error, "connect " + address + ":" + std::to_string(place.port));
  }
  throw first ? *first : Error("EADDRNOTAVAIL", "no address to connect to");
}

void Socket::Greet(const Place& place) {
  if (place.tls) {
    SetTimeout(handle_, SO_RCVTIMEO, place.connect_timeout);
    SetTimeout(handle_, SO_SNDTIMEO, place.connect_timeout);
    tls_ = std::make_unique<Tls>(handle_, *place.tls);
    try {
      tls_->Handshake();
    } catch (const Error&) {
      ExpectRunning();
      throw;
    }
  }
  silence_ = place.silence;
  SetTimeout(handle_, SO_RCVTIMEO, silence_);
  SetTimeout(handle_, SO_SNDTIMEO, silence_);
}

// Returns the errno; 0 once connected.
int Socket::ConnectTo(const std::string& address, const Place& place) {
  const Resolved resolved(address, place.port);
  const int handle = socket(resolved.list->ai_family, SOCK_STREAM, 0);
  if (handle < 0) return errno;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (handle_ >= 0) close(handle_);
    handle_ = handle;
  }
  const int on = 1;
  fcntl(handle, F_SETFD, FD_CLOEXEC);
  setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef SO_NOSIGPIPE
  setsockopt(handle, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  const int flags = fcntl(handle, F_GETFL);
  fcntl(handle, F_SETFL, flags | O_NONBLOCK);
  if (connect(handle, resolved.list->ai_addr, resolved.list->ai_addrlen) != 0 && errno != EINPROGRESS) return errno;
  pollfd wait = {handle, POLLOUT, 0};
  for (int left = place.connect_timeout;; left -= kGlance) {
    ExpectRunning();
    if (left <= 0) return ETIMEDOUT;
    const int ready = poll(&wait, 1, std::min(left, kGlance));
    if (ready < 0 && errno != EINTR) return errno;
    if (ready > 0) break;
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(handle, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  if (error != 0) return error;
  fcntl(handle, F_SETFL, flags);
  return 0;
}

void Socket::Send(const void* data, size_t size) {
  for (size_t done = 0; done < size;) {
    ExpectRunning();
    if (tls_) {
      TlsOutcome outcome = TlsOutcome::kEnd;
      errno = 0;
      const size_t written = tls_->Write(static_cast<const char*>(data) + done, size - done, &outcome);
      if (written == 0) {
        ExpectEnd(outcome, errno, "send");
        throw Error("EPIPE", "the server closed the connection");
      }
      done += written;
      continue;
    }
    const ssize_t sent = send(handle_, static_cast<const char*>(data) + done, size - done, kSendFlags);
    if (sent < 0)
      ExpectInterruption(errno, "send");
    else
      done += static_cast<size_t>(sent);
  }
}

#ifdef __linux__
size_t Socket::SendFile(int file, uint64_t offset, size_t size) {
  if (tls_) return SendRead(file, offset, size);
  const off_t end = static_cast<off_t>(offset + size);
  for (off_t at = static_cast<off_t>(offset); at < end;) {
    ExpectRunning();
    const ssize_t sent = sendfile(handle_, file, &at, static_cast<size_t>(end - at));
    if (sent < 0)
      ExpectInterruption(errno, "sendfile");
    else if (sent == 0)
      return static_cast<size_t>(at) - offset;
  }
  return size;
}
#endif

#ifdef __linux__
size_t Socket::SendRead(int file, uint64_t offset, size_t size) {
  std::vector<char> piece(std::min(size, kPiece));
  for (size_t done = 0; done < size;) {
    ExpectRunning();
    const size_t wanted = std::min(piece.size(), size - done);
    const ssize_t read = pread(file, piece.data(), wanted, static_cast<off_t>(offset + done));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) throw SystemError(errno, "read");
    if (read == 0) return done;
    Send(piece.data(), static_cast<size_t>(read));
    done += static_cast<size_t>(read);
  }
  return size;
}
#endif

void Socket::ExpectEnd(TlsOutcome outcome, int error, const char* call) const {
  ExpectRunning();
  if (outcome == TlsOutcome::kEnd) return;
  if (outcome == TlsOutcome::kTimeout) {
    throw Error("ETIMEDOUT", "no data was transferred for " + std::to_string(silence_) + " ms");
  }
  Tls::ExpectNoError();
  if (error != 0) throw SystemError(error, call);
  throw Error("ECONNRESET", "the server closed the connection without ending TLS");
}

// For a call that sends: returns if the call is to be repeated.
void Socket::ExpectInterruption(int error, const char* call) const {
  if (error == EINTR) return;
  if (error == EAGAIN || error == EWOULDBLOCK) {
    throw Error("ETIMEDOUT", "the server accepted no data for " + std::to_string(silence_) + " ms");
  }
  ExpectRunning();
  throw SystemError(error, call);
}

size_t Socket::Receive(void* data, size_t size) {
  if (tls_) {
    TlsOutcome outcome = TlsOutcome::kEnd;
    errno = 0;
    const size_t read = tls_->Read(data, size, &outcome);
    if (read == 0) ExpectEnd(outcome, errno, "recv");
    return read;
  }
  for (;;) {
    const ssize_t received = recv(handle_, data, size, 0);
    const int error = errno;
    ExpectRunning();
    if (received >= 0) return static_cast<size_t>(received);
    if (error == EAGAIN || error == EWOULDBLOCK) {
      throw Error("ETIMEDOUT", "no data arrived for " + std::to_string(silence_) + " ms");
    }
    if (error != EINTR) throw SystemError(error, "recv");
  }
}

bool Socket::HasNews() {
  if (tls_) return tls_->HasNews();
  pollfd look = {handle_, POLLIN, 0};
  return poll(&look, 1, 0) > 0;
}

void Socket::Stop() {
  stopped_ = true;
  std::lock_guard<std::mutex> lock(mutex_);
  if (handle_ >= 0) shutdown(handle_, SHUT_RDWR);
}

void Socket::ExpectRunning() const {
  if (stopped_) throw Error("ABORTED", "interrupted before the end");
}

}  // namespace stowage::transfer
