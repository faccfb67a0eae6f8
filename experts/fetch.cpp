#include "experts/fetch.h"

#include <curl/curl.h>

#include <memory>
#include <stdexcept>
#include <string_view>

namespace experts {

namespace {

constexpr std::size_t kBodyBytesMax = 64u << 20;

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* into) {
  auto& body = *static_cast<std::string*>(into);
  if (body.size() + size * count > kBodyBytesMax) return 0;
  body.append(bytes, size * count);
  return size * count;
}

std::size_t take_field(char* bytes, std::size_t size, std::size_t count, void* into) {
  std::string_view line(bytes, size * count);
  constexpr std::string_view kName = "etag: ";
  if (line.starts_with(kName)) {
    line.remove_prefix(kName.size());
    *static_cast<std::string*>(into) = line.substr(0, line.find_first_of("\r\n"));
  }
  return size * count;
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

}  // namespace

Fetched fetch(const FetchRequest& request) {
  const std::unique_ptr<CURL, FreeEasy> easy(curl_easy_init());
  if (!easy) throw std::runtime_error("libcurl cannot start");
  std::unique_ptr<curl_slist, FreeList> fields;
  for (const auto& field : request.fields)
    fields.reset(curl_slist_append(fields.release(), field.c_str()));
  Fetched fetched;
  CURL* curl = easy.get();
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields.get());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.wait_ms_max));
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  if (!request.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, request.ca_file.c_str());
  if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &fetched.body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_field);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &fetched.etag);
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK)
    throw std::runtime_error(request.url + ": no answer: " + curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  fetched.status = static_cast<int>(status);
  return fetched;
}

}  // namespace experts
