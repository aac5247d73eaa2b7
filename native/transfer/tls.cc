#include "tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>

#include "../base/error.h"

namespace stowage::transfer {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;
#endif

// How much is read from the socket at a time; a record has at most 16 KiB.
constexpr size_t kReadAhead = 256u << 10;
// Sets of certificates that are kept.
constexpr size_t kMostContexts = 8;

using Context = std::shared_ptr<SSL_CTX>;

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using TextBio = std::unique_ptr<BIO, BioDeleter>;

TextBio BioOf(const std::string& text) { return TextBio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

struct X509Deleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, X509Deleter>;

// No password is known for an encrypted key. Without this, OpenSSL asks for one on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

Certificate NextOf(BIO* pem) { return Certificate(PEM_read_bio_X509(pem, nullptr, NoPassword, nullptr)); }

// A certificate that cannot be read is skipped, as Node.js does; the others are trusted all the same.
void Trust(SSL_CTX* context, const std::string& authorities) {
  const TextBio pem = BioOf(authorities);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  while (BIO_eof(pem.get()) == 0) {
    if (const Certificate certificate = NextOf(pem.get())) X509_STORE_add_cert(store, certificate.get());
  }
  ERR_clear_error();
}

void Show(SSL_CTX* context, const TlsSettings& settings) {
  const TextBio pem = BioOf(settings.certificate);
  const Certificate own = NextOf(pem.get());
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) {
    throw Error(Tls::LastCode(), "the client certificate for the registry cannot be used");
  }
  while (Certificate next = NextOf(pem.get())) {
    if (SSL_CTX_add_extra_chain_cert(context, next.get()) == 1) (void)next.release();  // the context owns it
  }
  ERR_clear_error();
  const TextBio key = BioOf(settings.key);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> parsed(
      PEM_read_bio_PrivateKey(key.get(), nullptr, NoPassword, nullptr), EVP_PKEY_free);
  if (!parsed || SSL_CTX_use_PrivateKey(context, parsed.get()) != 1) {
    throw Error(Tls::LastCode(), "the key of the client certificate for the registry cannot be used");
  }
}

Context NewContext(const TlsSettings& settings) {
  // An atexit handler would free what threads still use, and no configuration file may change what is trusted
  OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  Context context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    throw Error(Tls::LastCode(), "TLS cannot be set up");
  }
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), kReadAhead);
  Trust(context.get(), settings.authorities);
  if (!settings.certificate.empty()) Show(context.get(), settings);
  return context;
}

// Created once for each set of certificates: parsing all authorities takes a tenth of a second.
Context ContextFor(const TlsSettings& settings) {
  struct Contexts {
    std::mutex mutex;
    std::map<std::string, Context> made;
  };
  static Contexts& contexts = *new Contexts;  // never destroyed: threads may outlive what ends the process
  const std::string key = settings.authorities + '\0' + settings.certificate + '\0' + settings.key;
  std::lock_guard<std::mutex> lock(contexts.mutex);
  if (contexts.made.size() >= kMostContexts && contexts.made.count(key) == 0) contexts.made.clear();
  Context& context = contexts.made[key];
  if (!context) context = NewContext(settings);
  return context;
}

// A BIO over the socket: OpenSSL's own raises SIGPIPE if the server is gone. It never reports the end of its input, so
// a connection that ends without close_notify is a failure, not an end.
int HandleOf(BIO* bio) { return *static_cast<const int*>(BIO_get_data(bio)); }

int ReadSocket(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  for (;;) {
    const ssize_t received = recv(HandleOf(bio), data, static_cast<size_t>(size), 0);
    if (received >= 0) return static_cast<int>(received);
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) BIO_set_retry_read(bio);
    return -1;
  }
}

int WriteSocket(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  for (;;) {
    const ssize_t sent = send(HandleOf(bio), data, static_cast<size_t>(size), kSendFlags);
    if (sent >= 0) return static_cast<int>(sent);
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) BIO_set_retry_write(bio);
    return -1;
  }
}

long ControlSocket(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int CreateSocketBio(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

// `handle` must outlive it.
BIO* NewSocketBio(int* handle) {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stowage socket");
    BIO_meth_set_read(made, ReadSocket);
    BIO_meth_set_write(made, WriteSocket);
    BIO_meth_set_ctrl(made, ControlSocket);
    BIO_meth_set_create(made, CreateSocketBio);
    return made;
  }();
  BIO* bio = BIO_new(method);
  if (bio == nullptr) throw Error(Tls::LastCode(), "TLS cannot be set up");
  BIO_set_data(bio, handle);
  return bio;
}

// As Node.js names them.
const char* CodeOf(long verification) {
  switch (verification) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: return "UNABLE_TO_GET_ISSUER_CERT";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: return "UNABLE_TO_GET_ISSUER_CERT_LOCALLY";
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return "DEPTH_ZERO_SELF_SIGNED_CERT";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return "SELF_SIGNED_CERT_IN_CHAIN";
    case X509_V_ERR_CERT_HAS_EXPIRED: return "CERT_HAS_EXPIRED";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "ERR_TLS_CERT_ALTNAME_INVALID";
    default: return "CERT_REJECTED";
  }
}

// A fully qualified name may end in a dot, which certificates and SNI leave out.
std::string WithoutDot(std::string name) {
  if (!name.empty() && name.back() == '.') name.pop_back();
  return name;
}

}  // namespace

Tls::Tls(int handle, const TlsSettings& settings) : handle_(handle), ssl_(SSL_new(ContextFor(settings).get())) {
  if (!ssl_) throw Error(LastCode(), "TLS cannot be set up");
  BIO* bio = NewSocketBio(&handle_);
  SSL_set_bio(ssl_.get(), bio, bio);
  X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl_.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, settings.name.c_str()) == 1) return;
  ERR_clear_error();
  // To OpenSSL an empty name means any certificate, and one that begins with a dot all names below it
  const std::string name = WithoutDot(settings.name);
  if (name.empty() || name.front() == '.' || X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size()) != 1 ||
      SSL_set_tlsext_host_name(ssl_.get(), name.c_str()) != 1) {
    throw Error("ERR_TLS_CERT_ALTNAME_INVALID", "no certificate can be valid for the host name: " + settings.name);
  }
}

void Tls::Handshake() {
  ERR_clear_error();
  const int result = SSL_connect(ssl_.get());
  if (result == 1) return;
  const int error = errno;
  const TlsOutcome outcome = OutcomeOf(result);
  if (outcome == TlsOutcome::kTimeout) throw Error("ETIMEDOUT", "no data arrived during the TLS handshake");
  const long verification = SSL_get_verify_result(ssl_.get());
  if (verification != X509_V_OK) throw Error(CodeOf(verification), X509_verify_cert_error_string(verification));
  ExpectNoError();
  if (outcome == TlsOutcome::kFailure && error != 0) throw SystemError(error, "TLS handshake");
  throw Error("ECONNRESET", "the server closed the connection during the TLS handshake");
}

size_t Tls::Read(void* data, size_t size, TlsOutcome* outcome) {
  ERR_clear_error();
  size_t read = 0;
  const int result = SSL_read_ex(ssl_.get(), data, size, &read);
  if (result == 1) return read;
  *outcome = OutcomeOf(result);
  return 0;
}

size_t Tls::Write(const void* data, size_t size, TlsOutcome* outcome) {
  ERR_clear_error();
  size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), data, size, &written);
  if (result == 1) return written;
  *outcome = OutcomeOf(result);
  return 0;
}

bool Tls::HasNews() {
  pollfd look = {handle_, POLLIN, 0};
  if (SSL_has_pending(ssl_.get()) == 0 && poll(&look, 1, 0) <= 0) return false;
  // It may be only a session ticket: a read must find out, without waiting
  const int flags = fcntl(handle_, F_GETFL);
  fcntl(handle_, F_SETFL, flags | O_NONBLOCK);
  ERR_clear_error();
  char first = 0;
  size_t read = 0;
  const int result = SSL_peek_ex(ssl_.get(), &first, 1, &read);
  const bool news = result == 1 || OutcomeOf(result) != TlsOutcome::kTimeout;
  fcntl(handle_, F_SETFL, flags);
  return news;
}

void Tls::ExpectNoError() {
  if (ERR_peek_error() == 0) return;
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  throw Error(LastCode(), std::string("TLS: ") + (reason == nullptr ? "unknown error" : reason));
}

std::string Tls::LastCode() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  std::string code = std::string("ERR_SSL_") + (reason == nullptr ? "FAILURE" : reason);
  for (char& c : code) {
    if (c == ' ') c = '_';
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return code;
}

TlsOutcome Tls::OutcomeOf(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_ZERO_RETURN: return TlsOutcome::kEnd;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return TlsOutcome::kTimeout;
    default: return TlsOutcome::kFailure;
  }
}

}  // namespace stowage::transfer
