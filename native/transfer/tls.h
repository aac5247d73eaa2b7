// TLS over a connected socket, by OpenSSL. The trusted certificates are passed as PEM.
#ifndef STOWAGE_TRANSFER_TLS_H_
#define STOWAGE_TRANSFER_TLS_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>

namespace stowage::transfer {

struct TlsSettings {
  // What the other side's certificate must be for: a host name, or an address.
  std::string name;
  // PEM: the trusted certificate authorities, one after another.
  std::string authorities;
  // PEM: the client certificate, which may be empty, and its key.
  std::string certificate;
  std::string key;
};

// Why a call transferred nothing.
enum class TlsOutcome { kEnd, kTimeout, kFailure };

// One session, used by one thread. It does not own the socket.
class Tls {
 public:
  // Throws ERR_TLS_… for certificates that cannot be read.
  Tls(int handle, const TlsSettings& settings);
  Tls(const Tls&) = delete;  // OpenSSL keeps the address of handle_
  Tls& operator=(const Tls&) = delete;

  // Throws CERT_… and the like if the other side is not trusted, ERR_SSL_… if it does not speak TLS, or ETIMEDOUT.
  void Handshake();
  // Bytes read or written; 0 if none, with the reason in `*outcome`.
  size_t Read(void* data, size_t size, TlsOutcome* outcome);
  size_t Write(const void* data, size_t size, TlsOutcome* outcome);
  // Whether there is something to read, or it has ended. Does not wait.
  bool HasNews();
  // Throws OpenSSL's error in the last call; returns if the failure was that of the system or of the server.
  static void ExpectNoError();
  // The last error of OpenSSL: "ERR_SSL_WRONG_VERSION_NUMBER".
  static std::string LastCode();

 private:
  struct Deleter {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  TlsOutcome OutcomeOf(int result);

  int handle_;
  std::unique_ptr<SSL, Deleter> ssl_;
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_TLS_H_
