// TLS over a connected socket, by OpenSSL: whom to trust comes as PEM.
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
  // PEM: those who may vouch for it, one after another.
  std::string authorities;
  // PEM: ours, which may be empty, and its key.
  std::string certificate;
  std::string key;
};

// How a call ended that did not do what it should.
enum class TlsOutcome { kEnd, kTimeout, kFailure };

// One session, used by one thread. The socket stays its owner's.
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
  // Throws what OpenSSL found wrong in the last call; returns where it was the system or the other side.
  static void ExpectNoError();
  // What failed last, as an error of OpenSSL: "ERR_SSL_WRONG_VERSION_NUMBER".
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
