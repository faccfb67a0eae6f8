// TLS of a listener (RFC 8446, RFC 5246): a certificate that may change while the service serves,
// and one connection's state.
//
// OpenSSL reads and writes memory here, never a socket: the session moves the bytes, with the same
// deadlines and the same way of sending as without TLS.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <mutex>
#include <span>
#include <string_view>

#include "http/options.h"

struct bio_st;  // OpenSSL's BIO, SSL, SSL_CTX
struct ssl_st;
struct ssl_ctx_st;

namespace http {

/// One connection, on its net thread. Once it failed() it opens and seals nothing more.
class Tls {
 public:
  explicit Tls(ssl_ctx_st& context);
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  /// Takes bytes as the peer sent them. The caller keeps their sum bounded by calling open().
  void feed(std::string_view sealed);

  /// Bytes fed and not opened yet.
  std::size_t waiting() const;

  /// What the peer says in them, as far as `into` has room; 0: it takes more bytes, unless ended()
  /// or failed(). Does the handshake on the way, so there may be outgoing() bytes after it.
  std::size_t open(std::span<char> into);

  /// Looks whether the peer said goodbye, without taking what it said before.
  bool peek_end();

  /// Puts `parts` behind the outgoing() bytes, encrypted; false: the connection is of no use.
  bool seal(std::span<const iovec> parts);

  /// Says goodbye, once.
  void close();

  /// What is to be sent; valid until the next call. clear_outgoing() when it was taken.
  std::string_view outgoing() const;
  void clear_outgoing();

  bool ready() const;  // the handshake is done

  bool ended() const { return ended_; }  // the peer said goodbye

  bool failed() const { return failed_; }

  /// The peer began with an HTTP request instead of a handshake.
  bool spoke_http() const { return spoke_http_; }

 private:
  void judge(int result);

  ssl_st* ssl_;
  bio_st* in_;  // both the ssl_'s own
  bio_st* out_;
  bool ended_ = false;
  bool failed_ = false;
  bool spoke_http_ = false;
};

class Certificate {
 public:
  /// Reads the files. Throws std::runtime_error with an operator's sentence when one cannot be
  /// read, the key is open to other users, they do not belong together, or the certificate is not
  /// valid now.
  explicit Certificate(TlsFiles files);
  ~Certificate();
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  /// Reads the files again, for connections from now on. Any thread. Throws as the constructor
  /// does, and then the running certificate stays.
  void reload();

  /// The state of a new connection. Any thread.
  std::unique_ptr<Tls> accept() const;

 private:
  const TlsFiles files_;
  mutable std::mutex mutex_;
  ssl_ctx_st* context_;  // guarded by mutex_
};

}  // namespace http
