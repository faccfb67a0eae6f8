// Bytes of a stranger where a TLS handshake should be.
#include <cstddef>
#include <cstdint>

#include "http/tls.h"
#include "tests/http/certificates.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const http::CertificateFolder folder;
  static const http::Certificate certificate(folder.files());
  const auto tls = certificate.accept();
  char room[512];
  const std::size_t step = size == 0 ? 1 : 1 + data[0];
  for (std::size_t at = 0; at < size; at += step) {
    tls->feed({reinterpret_cast<const char*>(data) + at, std::min(step, size - at)});
    while (tls->open(room) > 0) {
    }
    tls->clear_outgoing();
  }
  tls->peek_end();
  tls->close();
  return 0;
}
