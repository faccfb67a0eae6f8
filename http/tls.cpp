#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>

namespace http {

namespace {

constexpr std::size_t kOutgoingKeptMax = 64 * 1024;  // a buffer that grew beyond is given back
constexpr int kDaysWarned = 14;                      // before a certificate ends

[[noreturn]] void refuse(const TlsFiles& files, std::string_view why) {
  std::string sentence = "the TLS certificate ";
  sentence.append(files.certificate).append(" with the key ").append(files.key);
  throw std::runtime_error(sentence.append(" cannot be used: ").append(why));
}

/// OpenSSL's own words about what failed last.
std::string last_error() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_peek_last_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

/// As PostgreSQL: nobody but its owner reads a key, or root's group when it is root's (Debian's
/// ssl-cert).
void check_key_file(const TlsFiles& files) {
  struct stat status {};

  if (::stat(files.key.c_str(), &status) != 0)
    refuse(files, "the key: " + std::string(std::strerror(errno)));
  const mode_t allowed = status.st_uid == 0 ? 0740 : 0700;
  if ((status.st_mode & 0777 & ~allowed) != 0)
    refuse(files, "other users may read or write the key; run chmod 600 on it");
}

/// `2026-11-30 10:00:00 UTC`.
std::string text_of(const ASN1_TIME* time) {
  std::tm parts{};
  std::array<char, 40> text{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable date";
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

void check_dates(const TlsFiles& files, const X509* certificate) {
  const ASN1_TIME* begins = X509_get0_notBefore(certificate);
  const ASN1_TIME* ends = X509_get0_notAfter(certificate);
  if (X509_cmp_current_time(ends) <= 0)
    refuse(files, "it expired on " + text_of(ends) + "; get a new one");
  if (X509_cmp_current_time(begins) > 0)
    refuse(files, "it is not valid before " + text_of(begins) + "; check the clock");
  int days = 0, seconds = 0;
  ASN1_TIME_diff(&days, &seconds, nullptr, ends);
  if (days < kDaysWarned)
    spdlog::warn("the TLS certificate {} expires on {}", files.certificate, text_of(ends));
}

/// A passphrase would be asked for on a terminal that a service does not have.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

/// RFC 7301: HTTP/1.1 when the client names it, a refusal when it names others only.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned int in_size, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int result = SSL_select_next_proto(&chosen, out_size, kOurs, sizeof kOurs - 1, in, in_size);
  *out = chosen;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

void set_up(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets keep nothing here
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
}

SSL_CTX* load(const TlsFiles& files) {
  check_key_file(files);
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                       SSL_CTX_free);
  if (!context) refuse(files, last_error());
  set_up(context.get());
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
    refuse(files, "the certificate is no readable PEM file: " + last_error());
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
    const std::string why = last_error();
    refuse(files, other ? "they do not belong together"
                        : "the key is no readable PEM file without a passphrase: " + why);
  }
  if (SSL_CTX_check_private_key(context.get()) != 1) refuse(files, "they do not belong together");
  check_dates(files, SSL_CTX_get0_certificate(context.get()));
  return context.release();
}

}  // namespace

Tls::Tls(SSL_CTX& context)
    : ssl_(SSL_new(&context)), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  if (ssl_ == nullptr || in_ == nullptr || out_ == nullptr) throw std::bad_alloc();
  SSL_set_bio(ssl_, in_, out_);
  SSL_set_accept_state(ssl_);
}

Tls::~Tls() {
  SSL_free(ssl_);
}

void Tls::feed(std::string_view sealed) {
  BIO_write(in_, sealed.data(), static_cast<int>(sealed.size()));
}

std::size_t Tls::waiting() const {
  return BIO_ctrl_pending(in_);
}

/// Of a call of OpenSSL that did not do what it was asked to.
void Tls::judge(int result) {
  const int why = SSL_get_error(ssl_, result);
  if (why == SSL_ERROR_ZERO_RETURN) {
    ended_ = true;
  } else if (why != SSL_ERROR_WANT_READ) {
    failed_ = true;
    spoke_http_ = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
  }
  ERR_clear_error();
}

std::size_t Tls::open(std::span<char> into) {
  if (failed_ || ended_) return 0;
  std::size_t bytes = 0;
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_, into.data(), into.size(), &bytes);
  if (result != 1) judge(result);
  return result == 1 ? bytes : 0;
}

bool Tls::peek_end() {
  if (failed_ || ended_) return true;
  char byte = 0;
  std::size_t bytes = 0;
  ERR_clear_error();
  const int result = SSL_peek_ex(ssl_, &byte, 1, &bytes);
  if (result != 1) judge(result);
  return failed_ || ended_;
}

/// In one piece: a record of its own for a few bytes of framing costs the peer a decryption each.
bool Tls::seal(std::span<const iovec> parts) {
  if (failed_) return false;
  std::string whole;
  for (const iovec& part : parts) whole.append(static_cast<char*>(part.iov_base), part.iov_len);
  if (whole.empty()) return true;
  std::size_t bytes = 0;
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_, whole.data(), whole.size(), &bytes);
  if (result != 1) judge(result);
  return result == 1;
}

void Tls::close() {
  if (failed_ || !ready()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
}

std::string_view Tls::outgoing() const {
  char* data = nullptr;
  const long size = BIO_get_mem_data(out_, &data);
  return {data, static_cast<std::size_t>(size)};
}

void Tls::clear_outgoing() {
  if (outgoing().size() <= kOutgoingKeptMax) {
    BIO_reset(out_);
  } else if (BIO* fresh = BIO_new(BIO_s_mem()); fresh != nullptr) {
    out_ = fresh;
    SSL_set0_wbio(ssl_, out_);
  }
}

bool Tls::ready() const {
  return SSL_is_init_finished(ssl_) == 1;
}

Certificate::Certificate(TlsFiles files) : files_(std::move(files)), context_(load(files_)) {}

Certificate::~Certificate() {
  SSL_CTX_free(context_);
}

void Certificate::reload() {
  SSL_CTX* fresh = load(files_);
  const std::lock_guard lock(mutex_);
  SSL_CTX_free(context_);  // connections hold on to theirs
  context_ = fresh;
}

std::unique_ptr<Tls> Certificate::accept() const {
  const std::lock_guard lock(mutex_);
  return std::make_unique<Tls>(*context_);
}

}  // namespace http
