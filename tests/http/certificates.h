// Certificates that a test makes for itself.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "http/options.h"

namespace http {

using KeyPtr = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;

inline KeyPtr make_key() {
  return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

/// Writes a certificate for `name`, signed by itself, valid from `from_s` to `to_s` from now.
inline void write_certificate(const std::string& path, EVP_PKEY* key, const std::string& name,
                              long from_s = -60, long to_s = 100L * 86'400) {
  const std::unique_ptr<X509, void (*)(X509*)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), to_s);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  X509_sign(certificate.get(), key, EVP_sha256());
  FILE* file = std::fopen(path.c_str(), "w");
  PEM_write_X509(file, certificate.get());
  std::fclose(file);
}

inline void write_key(const std::string& path, EVP_PKEY* key, const char* passphrase = nullptr) {
  FILE* file = std::fopen(path.c_str(), "w");
  const EVP_CIPHER* cipher = passphrase == nullptr ? nullptr : EVP_aes_128_cbc();
  PEM_write_PrivateKey(file, key, cipher, nullptr, 0, nullptr, const_cast<char*>(passphrase));
  std::fclose(file);
  ::chmod(path.c_str(), 0600);
}

/// A folder with `cert.pem` and `key.pem`, gone with the scope.
class CertificateFolder {
 public:
  explicit CertificateFolder(const std::string& name = "first") {
    std::string path = (std::filesystem::temp_directory_path() / "skillyard-tls-XXXXXX").string();
    folder_ = ::mkdtemp(path.data());
    renew(name);
  }

  ~CertificateFolder() { std::filesystem::remove_all(folder_); }

  CertificateFolder(const CertificateFolder&) = delete;
  CertificateFolder& operator=(const CertificateFolder&) = delete;

  void renew(const std::string& name, long from_s = -60, long to_s = 100L * 86'400) {
    const KeyPtr key = make_key();
    write_certificate(files().certificate, key.get(), name, from_s, to_s);
    write_key(files().key, key.get());
  }

  TlsFiles files() const { return {folder_ + "/cert.pem", folder_ + "/key.pem"}; }

 private:
  std::string folder_;
};

}  // namespace http
