#include "experts/curl_exchange.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <ctime>
#include <stdexcept>

namespace experts {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

/// Received and not yet read: beyond this libcurl stops reading, and then the expert must stop
/// sending.
constexpr std::size_t kInboxBytesMax = 256 << 10;
/// How long, and how many at once, a finished stream may take to end its framing.
constexpr milliseconds kTailMax{1000};
constexpr std::size_t kTailsMax = 64;

bool starts_with_no_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char want, char have) {
           return want == (have >= 'A' && have <= 'Z' ? have + 32 : have);
         });
}

std::string_view trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

void init_once() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) throw std::runtime_error("libcurl cannot start: curl_global_init failed");
}

const std::string& url_of(const Target& target, Request::To to) {
  if (to == Request::To::models) return target.models_url;
  return to == Request::To::embeddings ? target.embeddings_url : target.chat_url;
}

}  // namespace

/// One libcurl transfer: the easy handle and what its callbacks fill.
class CurlTransfer final : private Waiting {
 public:
  CurlTransfer(CurlLoop& loop, const Entry& entry, const Request& request)
      : loop_(loop), gate_(loop.io_, Clock::time_point::max()), easy_(curl_easy_init()) {
    if (easy_ == nullptr) throw std::bad_alloc();
    set_up(entry, request);
  }

  ~CurlTransfer() override {
    if (added_) curl_multi_remove_handle(loop_.multi_, easy_);
    curl_easy_cleanup(easy_);
    curl_slist_free_all(fields_);
  }

  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  void begin() {
    added_ = true;
    curl_multi_add_handle(loop_.multi_, easy_);
  }

  /// Until something came, the transfer ended, the time was over, or the coroutine was cancelled.
  asio::awaitable<void> wait_until(Clock::time_point until) {
    due = until;
    loop_.sweep_.add(*this);
    co_await gate_.async_wait(asio::as_tuple(asio::deferred));
    if (is_linked()) unlink();
  }

  /// Moves what came to the end of `into`, and lets libcurl go on if it had to stop.
  void take(std::string& into) {
    into.append(inbox);
    inbox.clear();
    if (std::exchange(paused_, false)) curl_easy_pause(easy_, CURLPAUSE_CONT);
  }

  void finish(CURLcode result) {
    curl_multi_remove_handle(loop_.multi_, easy_);
    added_ = false;
    code = result;
    done = true;
    gate_.cancel();
  }

  /// From now on nobody reads.
  void discard_until(Clock::time_point until) {
    discarding_ = true;
    std::string unwanted;
    take(unwanted);
    due = until;
    loop_.sweep_.add(*this);
  }

  std::string_view words() const {
    return error_[0] != '\0' ? std::string_view(error_.data()) : curl_easy_strerror(code);
  }

  bool new_connection() const {
    long count = 0;
    curl_easy_getinfo(easy_, CURLINFO_NUM_CONNECTS, &count);
    return count > 0;
  }

  ResponseHead head;
  std::string inbox;
  CURLcode code = CURLE_OK;
  bool done = false;
  bool timed_out = false;

 private:
  void expire() override {
    timed_out = true;
    gate_.cancel();
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    if (curl_easy_setopt(easy_, option, value) != CURLE_OK) {
      throw std::runtime_error("libcurl does not know option " + std::to_string(option));
    }
  }

  void add_field(const std::string& field) { fields_ = curl_slist_append(fields_, field.c_str()); }

  void set_up(const Entry& entry, const Request& request);
  static std::size_t on_header(char* text, std::size_t, std::size_t size, void* self);
  static std::size_t on_body(char* bytes, std::size_t, std::size_t size, void* self);

  CurlLoop& loop_;
  asio::basic_waitable_timer<Clock> gate_;
  CURL* easy_;
  curl_slist* fields_ = nullptr;
  std::string request_body_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  bool added_ = false;
  bool paused_ = false;
  bool discarding_ = false;
};

void CurlTransfer::set_up(const Entry& entry, const Request& request) {
  const ExpertOptions& options = entry.options;
  const Target& target = *entry.target;
  set(CURLOPT_URL, url_of(target, request.to).c_str());
  if (request.to != Request::To::models) {
    request_body_.reserve(request.lead.size() + request.wire.size() + 1);
    request_body_.append(request.lead).append(request.wire).append("}");
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, request_body_.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_body_.size()));
    add_field("Content-Type: application/json");
  }
  add_field("Expect:");
  add_field("Accept:");
  if (!target.key.empty()) add_field("Authorization: Bearer " + target.key);
  for (const auto& [name, value] : options.headers) add_field(name + ": " + value);
  if (request.sends_id()) {
    add_field("x-request-id: " + std::string(request.request_id));
  }
  const bool http2 = target.tls && options.http2;
  set(CURLOPT_HTTPHEADER, fields_);
  set(CURLOPT_HEADEROPT,
      static_cast<long>(CURLHEADER_SEPARATE));  // our key is not the proxy's business
  set(CURLOPT_HTTP_VERSION,
      static_cast<long>(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PIPEWAIT, http2 ? 1L : 0L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  set(CURLOPT_PROXY, options.proxy.c_str());  // empty: none, whatever the environment says
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.timeouts.connect_ms_max));
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_HEADERFUNCTION, &CurlTransfer::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &CurlTransfer::on_body);
  set(CURLOPT_WRITEDATA, this);
}

std::size_t CurlTransfer::on_header(char* text, std::size_t, std::size_t size, void* self) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  const std::string_view line = trim({text, size});
  const auto value_of = [&](std::string_view name) { return trim(line.substr(name.size())); };
  if (line.starts_with("HTTP/")) {  // also of a proxy's CONNECT and of every 1xx
    transfer.head = {};
    const std::string_view code = trim(line.substr(std::min(line.find(' '), line.size())));
    transfer.head.status = std::atoi(std::string(code.substr(0, 3)).c_str());
  } else if (starts_with_no_case(line, "content-type:")) {
    transfer.head.event_stream =
        starts_with_no_case(value_of("content-type:"), "text/event-stream");
  } else if (starts_with_no_case(line, "content-encoding:")) {
    const std::string_view value = value_of("content-encoding:");
    transfer.head.encoded = !value.empty() && !starts_with_no_case(value, "identity");
  } else if (starts_with_no_case(line, "retry-after:")) {
    transfer.head.retry_after_s = parse_retry_after(value_of("retry-after:"), std::time(nullptr));
  }
  return size;
}

std::size_t CurlTransfer::on_body(char* bytes, std::size_t, std::size_t size, void* self) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  if (transfer.discarding_) return size;
  if (transfer.inbox.size() >= kInboxBytesMax) {
    transfer.paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  transfer.inbox.append(bytes, size);
  transfer.gate_.cancel();
  return size;
}

// ---- the exchange
// ---------------------------------------------------------------------------------

class CurlExchange final : public Exchange {
 public:
  CurlExchange(CurlLoop& loop, const Entry& entry, const Request& request)
      : loop_(loop),
        timeouts_(entry.options.timeouts),
        standing_(*entry.standing),
        total_due_(std::min(Clock::now() + milliseconds(timeouts_.total_ms_max), request.by)),
        transfer_(std::make_unique<CurlTransfer>(loop, entry, request)) {}

  asio::awaitable<Got> read(std::string& into) override {
    if (!begun_) {
      begun_ = true;
      transfer_->begin();
    }
    for (;;) {
      if (!transfer_->inbox.empty() || transfer_->done) break;
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) {
        co_return fail(Outcome::cancelled, "cancelled");
      }
      if (transfer_->timed_out) {
        co_return fail(Outcome::timed_out, answered_ ? "timed out reading the response"
                                                     : "timed out waiting for the response");
      }
      const int first_ms = timeouts_.connect_ms_max + timeouts_.first_byte_ms_max;
      const auto wait = milliseconds(answered_ ? timeouts_.idle_ms_max : first_ms);
      co_await transfer_->wait_until(std::min(Clock::now() + wait, total_due_));
    }
    head = transfer_->head;
    answered_ = true;
    if (!transfer_->inbox.empty()) {
      transfer_->take(into);
      const bool whole = transfer_->done && transfer_->code == CURLE_OK && transfer_->inbox.empty();
      if (!whole) co_return Got::data;  // a fault comes after the bytes before it
    }
    co_return settle();
  }

  void finish_early() override { loop_.adopt(std::move(transfer_)); }

 private:
  Got settle() {
    if (transfer_->new_connection())
      standing_.connections_opened.fetch_add(1, std::memory_order_relaxed);
    if (transfer_->code == CURLE_OK) return Got::end;
    const std::string words(transfer_->words());
    switch (transfer_->code) {
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_RESOLVE_PROXY:
      case CURLE_COULDNT_CONNECT:
      case CURLE_SSL_CONNECT_ERROR:
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CERTPROBLEM:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_ISSUER_ERROR:
      case CURLE_PROXY:
        retryable = true;
        return fail(Outcome::unreachable, "connecting: " + words);
      case CURLE_OPERATION_TIMEDOUT:
        retryable = true;
        return fail(Outcome::timed_out, "timed out connecting");
      case CURLE_RECV_ERROR:
        // libcurl has no code of its own for this
        if (words.find("chunk") != words.npos) break;
        return fail(Outcome::cut, "the connection ended: " + words);
      case CURLE_SEND_ERROR:
      case CURLE_GOT_NOTHING:
      case CURLE_PARTIAL_FILE:
      case CURLE_HTTP2:
      case CURLE_HTTP2_STREAM:
        return fail(Outcome::cut, "the connection ended: " + words);
      default:
        break;
    }
    return fail(Outcome::malformed, "bad HTTP response: " + words);
  }

  Got fail(Outcome outcome, std::string what) {
    transfer_.reset();
    fault = outcome;
    error = std::move(what);
    return Got::fault;
  }

  CurlLoop& loop_;
  const Timeouts timeouts_;
  Standing& standing_;
  const Clock::time_point total_due_;
  std::unique_ptr<CurlTransfer> transfer_;
  bool begun_ = false;
  bool answered_ = false;  // a byte of the body came
};

// ---- the loop
// -------------------------------------------------------------------------------------

CurlLoop::CurlLoop(asio::io_context& io, Sweep& sweep) : io_(io), sweep_(sweep), timer_(io) {
  init_once();
  multi_ = curl_multi_init();
  if (multi_ == nullptr) throw std::bad_alloc();
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlLoop::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlLoop::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

CurlLoop::~CurlLoop() {
  tails_.clear();
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, nullptr);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, nullptr);
  for (auto& [fd, watched] : watches_) {
    watched->gone = true;
    watched->descriptor.release();  // libcurl closes it
  }
  curl_multi_cleanup(multi_);
}

std::unique_ptr<Exchange> CurlLoop::start(const Entry& entry, const Request& request) {
  return std::make_unique<CurlExchange>(*this, entry, request);
}

int CurlLoop::on_socket(void*, int fd, int what, void* self, void*) {
  static_cast<CurlLoop*>(self)->watch(fd, what);
  return 0;
}

int CurlLoop::on_timer(void*, long wait_ms, void* self) {
  CurlLoop& loop = *static_cast<CurlLoop*>(self);
  if (wait_ms < 0) {
    loop.timer_.cancel();
    return 0;
  }
  loop.timer_.expires_after(milliseconds(wait_ms));
  loop.timer_.async_wait([&loop](const error_code& ec) {
    if (!ec) loop.act(CURL_SOCKET_TIMEOUT, 0);
  });
  return 0;
}

void CurlLoop::watch(int fd, int what) {
  std::shared_ptr<Watch>& watched = watches_[fd];
  if (what == CURL_POLL_REMOVE) {
    if (watched) {
      watched->gone = true;
      watched->descriptor.release();
    }
    watches_.erase(fd);
    return;
  }
  if (!watched) watched = std::make_shared<Watch>(io_, fd);
  watched->wanted = what;
  wait_for(fd, watched);
}

void CurlLoop::wait_for(int fd, const std::shared_ptr<Watch>& watched) {
  using Wait = asio::posix::stream_descriptor::wait_type;
  const auto arm = [&](bool wanted, bool Watch::*armed, Wait direction, int event) {
    if (!wanted || (*watched).*armed) return;
    (*watched).*armed = true;
    watched->descriptor.async_wait(direction,
                                   [this, fd, watched, armed, event](const error_code& ec) {
                                     (*watched).*armed = false;
                                     if (watched->gone || ec == asio::error::operation_aborted)
                                       return;
                                     act(fd, ec ? CURL_CSELECT_ERR : event);
                                     if (!watched->gone) wait_for(fd, watched);
                                   });
  };
  arm((watched->wanted & CURL_POLL_IN) != 0, &Watch::reading, Wait::wait_read, CURL_CSELECT_IN);
  arm((watched->wanted & CURL_POLL_OUT) != 0, &Watch::writing, Wait::wait_write, CURL_CSELECT_OUT);
}

void CurlLoop::act(int fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, fd, events, &running);
  settle_finished();
}

void CurlLoop::settle_finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    void* transfer = nullptr;
    const CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    static_cast<CurlTransfer*>(transfer)->finish(code);
  }
  std::erase_if(tails_, [](const auto& tail) { return tail->done || tail->timed_out; });
}

void CurlLoop::adopt(std::unique_ptr<CurlTransfer> transfer) {
  if (transfer->done) return;
  std::erase_if(tails_, [](const auto& tail) { return tail->done || tail->timed_out; });
  if (tails_.size() >= kTailsMax) tails_.pop_front();
  transfer->discard_until(Clock::now() + kTailMax);
  tails_.push_back(std::move(transfer));
}

}  // namespace experts
