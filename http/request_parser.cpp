#include "http/request_parser.h"

#include <simdjson.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

namespace http {

namespace beast = boost::beast;

namespace {

constexpr std::size_t kBodyBytesReserved = 256 * 1024;  // at most, on a client's word alone
constexpr std::size_t kRequestIdBytesMax = 128;

Method method_of(beast::http::verb verb) {
  switch (verb) {
    case beast::http::verb::get:
      return Method::get;
    case beast::http::verb::head:
      return Method::head;
    case beast::http::verb::post:
      return Method::post;
    case beast::http::verb::put:
      return Method::put;
    case beast::http::verb::delete_:
      return Method::delete_;
    case beast::http::verb::options:
      return Method::options;
    case beast::http::verb::patch:
      return Method::patch;
    default:
      return Method::other;
  }
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool all_visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

struct RequestParser::Grammar {
  // Beast's parser serves one message; a new one is built in place for the next.
  struct Message final : beast::http::basic_parser<true> {
    explicit Message(Grammar& owner) : owner_(owner) {
      header_limit(static_cast<std::uint32_t>(owner.options.header_bytes_max));
      body_limit(owner.options.body_bytes_max);
      eager(true);
    }

    using View = beast::string_view;
    using Code = beast::error_code;

    void on_request_impl(beast::http::verb verb, View, View target, int version,
                         Code& ec) override {
      Request& into = *owner_.request;
      into.method = method_of(verb);
      into.version = version;
      if (target.size() > owner_.options.target_bytes_max) {
        return owner_.refuse(ec, Fault::target_too_long, "the request target is too long");
      }
      into.target.assign(target.data(), target.size());
    }

    void on_response_impl(int, View, int, Code&) override {}

    void on_field_impl(beast::http::field field, View name, View value, Code& ec) override {
      owner_.take_field(field, {name.data(), name.size()}, {value.data(), value.size()}, ec);
    }

    void on_header_impl(Code& ec) override { owner_.end_header(keep_alive(), ec); }

    void on_body_init_impl(const boost::optional<std::uint64_t>& bytes, Code&) override {
      const std::size_t reserved = std::min<std::size_t>(bytes.value_or(0), kBodyBytesReserved);
      owner_.request->body.reserve(reserved + simdjson::SIMDJSON_PADDING);
    }

    std::size_t on_body_impl(View piece, Code&) override {
      owner_.request->body.append(piece.data(), piece.size());
      return piece.size();
    }

    void on_chunk_header_impl(std::uint64_t, View, Code&) override {}

    std::size_t on_chunk_body_impl(std::uint64_t, View piece, Code&) override {
      owner_.request->body.append(piece.data(), piece.size());
      return piece.size();
    }

    void on_finish_impl(Code&) override {
      std::string& body = owner_.request->body;
      if (!body.empty()) body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    }

   private:
    Grammar& owner_;
  };

  explicit Grammar(const Options& limits) : options(limits) {}

  void refuse(beast::error_code& ec, Fault fault, std::string_view sentence) {
    problem.emplace();
    problem->fault = fault;
    problem->message = sentence;
    ec = beast::http::error::bad_field;
  }

  void take_field(beast::http::field field, std::string_view name, std::string_view value,
                  beast::error_code& ec);
  void end_header(bool keep_alive, beast::error_code& ec);
  void explain(const beast::error_code& ec);

  /// Beast joins a folded line in a buffer of its own, or leaves the fold between name and value.
  bool folded(std::string_view name, std::string_view value) const {
    const char* end = input.data() + input.size();
    if (value.data() < name.data() || value.data() > end) return true;
    const char* from = name.data() + name.size();
    return std::find(from, value.data(), '\n') != value.data();
  }

  const Options& options;
  Request* request = nullptr;
  std::optional<Message> message;
  std::optional<Problem> problem;
  std::string_view input;  // of the feed that runs
  std::size_t fields = 0;
  int hosts = 0, lengths = 0, codings = 0;
  bool header_done = false;
};

void RequestParser::Grammar::take_field(beast::http::field field, std::string_view name,
                                        std::string_view value, beast::error_code& ec) {
  if (++fields > options.fields_max) {
    return refuse(ec, Fault::header_too_large, "too many header fields");
  }
  if (folded(name, value)) return refuse(ec, Fault::bad_http, "folded header lines are obsolete");
  if (header_done) return;  // a trailer field: nobody reads it
  switch (field) {
    case beast::http::field::host:
      if (++hosts > 1) return refuse(ec, Fault::bad_http, "more than one Host");
      request->host = value;
      return;
    case beast::http::field::content_length:
      if (++lengths > 1 || !all_digits(value)) {
        refuse(ec, Fault::bad_http, "Content-Length must be one decimal number, once");
      }
      return;
    case beast::http::field::transfer_encoding:
      if (++codings > 1) return refuse(ec, Fault::bad_http, "more than one Transfer-Encoding");
      if (!same_word(value, "chunked")) {
        refuse(ec, Fault::transfer_coding, "the only Transfer-Encoding read here is `chunked`");
      }
      return;
    case beast::http::field::expect:
      if (!same_word(value, "100-continue")) {
        return refuse(ec, Fault::bad_expectation, "the only expectation met here is 100-continue");
      }
      request->continue_wanted = true;
      return;
    case beast::http::field::content_type:
      request->content_type = value;
      return;
    case beast::http::field::content_encoding:
      request->content_encoding = value;
      return;
    case beast::http::field::authorization:
      request->authorization = value;
      return;
    case beast::http::field::if_match:
      request->if_match = value;
      return;
    case beast::http::field::if_none_match:
      request->if_none_match = value;
      return;
    default:
      break;
  }
  if (name.size() == 12 && same_word(name, "x-request-id")) {
    const bool fit = value.size() <= kRequestIdBytesMax && all_visible(value);
    if (fit) request->request_id = value;
  } else if (name.size() == 19 && same_word(name, "x-skillyard-explain")) {
    request->explain = value;
  }
}

void RequestParser::Grammar::end_header(bool keep_alive, beast::error_code& ec) {
  request->keep_alive = keep_alive;
  if (hosts == 0 && request->version >= 11) {
    return refuse(ec, Fault::bad_http, "an HTTP/1.1 request needs a Host");
  }
  if (codings > 0 && request->version < 11) {
    return refuse(ec, Fault::bad_http, "HTTP/1.0 has no Transfer-Encoding");
  }
  if (request->version < 11) request->continue_wanted = false;
  header_done = true;
}

void RequestParser::Grammar::explain(const beast::error_code& ec) {
  if (problem) return;
  using beast::http::error;
  problem.emplace();
  problem->fault = Fault::bad_http;
  if (ec == error::header_limit) {
    problem->fault = Fault::header_too_large;
    problem->message =
        "the request header is larger than " + std::to_string(options.header_bytes_max) + " bytes";
  } else if (ec == error::body_limit) {
    problem->fault = Fault::body_too_large;
    problem->message =
        "the request body is larger than " + std::to_string(options.body_bytes_max) + " bytes";
  } else if (ec == error::bad_version) {
    problem->fault = Fault::bad_version;
    problem->message = "the request line must end in HTTP/1.1 or HTTP/1.0 and CRLF";
  } else {
    problem->message = "not a well-formed HTTP request: " + ec.message();
  }
}

RequestParser::RequestParser(const Options& options)
    : grammar_(std::make_unique<Grammar>(options)) {}

RequestParser::~RequestParser() = default;

void RequestParser::start(Request& into) {
  into.clear();
  grammar_->request = &into;
  grammar_->message.emplace(*grammar_);
  grammar_->problem.reset();
  grammar_->fields = 0;
  grammar_->hosts = grammar_->lengths = grammar_->codings = 0;
  grammar_->header_done = false;
}

std::size_t RequestParser::feed(std::string_view bytes) {
  Grammar& grammar = *grammar_;
  std::size_t taken = 0;
  if (!grammar.message->got_some()) {  // RFC 9112 2.2: an empty line before a request is ignored
    while (bytes.substr(taken).starts_with("\r\n")) taken += 2;
    if (bytes.substr(taken) == "\r") return taken;
  }
  if (taken == bytes.size() || done() || problem()) return taken;
  grammar.input = bytes;
  beast::error_code ec;
  taken += grammar.message->put({bytes.data() + taken, bytes.size() - taken}, ec);
  if (ec && ec != beast::http::error::need_more) grammar.explain(ec);
  return taken;
}

bool RequestParser::header_done() const {
  return grammar_->header_done;
}

bool RequestParser::done() const {
  return grammar_->message->is_done() && !grammar_->problem;
}

const std::optional<Problem>& RequestParser::problem() const {
  return grammar_->problem;
}

std::size_t RequestParser::body_bytes_announced() const {
  if (!grammar_->header_done) return 0;
  return grammar_->message->content_length().value_or(0);
}

}  // namespace http
