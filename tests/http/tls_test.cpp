// TLS of a listener, from outside: what is answered over it, handshakes that are broken, slow or of
// another kind, and certificates that change or cannot be used.
#include "http/tls.h"

#include <functional>
#include <random>

#include "tests/http/certificates.h"
#include "tests/http/rig.h"

namespace http {

namespace {

/// A client of OpenSSL's on a plain, blocking socket; it gives up after five seconds.
class TlsClient {
 public:
  explicit TlsClient(std::uint16_t port, const std::function<void(SSL_CTX*)>& set_up = {})
      : plain_(port), context_(SSL_CTX_new(TLS_client_method())) {
    if (set_up) set_up(context_);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, plain_.fd());
    ERR_clear_error();
    connected_ = SSL_connect(ssl_) == 1;
  }

  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }

  bool connected() const { return connected_; }

  SSL* ssl() { return ssl_; }

  std::string peer_name() const {
    const std::unique_ptr<X509, void (*)(X509*)> peer(SSL_get1_peer_certificate(ssl_), X509_free);
    char name[64] = "";
    if (peer)
      X509_NAME_get_text_by_NID(X509_get_subject_name(peer.get()), NID_commonName, name,
                                sizeof name);
    return name;
  }

  bool send(std::string_view bytes) {
    std::size_t sent = 0;
    return SSL_write_ex(ssl_, bytes.data(), bytes.size(), &sent) == 1;
  }

  /// Until `end` came, or the other side closed.
  std::string read_to(std::string_view end) {
    std::string text;
    char bytes[4096];
    std::size_t got = 0;
    while (!text.ends_with(end) && SSL_read_ex(ssl_, bytes, sizeof bytes, &got) == 1)
      text.append(bytes, got);
    return text;
  }

  std::string ask(std::string_view request, std::string_view end) {
    return send(request) ? read_to(end) : "";
  }

  /// The other side said goodbye before it closed.
  bool at_goodbye() {
    char byte = 0;
    return SSL_get_error(ssl_, SSL_read(ssl_, &byte, 1)) == SSL_ERROR_ZERO_RETURN;
  }

 private:
  Client plain_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
};

constexpr std::string_view kPongEnd = R"("finish_reason":"stop"}]})";  // of kPong

asio::awaitable<aggregator::Answer> answer_events(experts::Sink* sink, const std::string& event,
                                                  int events) {
  experts::Reply reply = reply_of(experts::Outcome::ok);
  reply.started = true;
  for (int i = 0; i < events; ++i) {
    const bool there = co_await sink->write(event);
    if (!there) reply.outcome = experts::Outcome::cancelled;
  }
  co_return answer_of(std::move(reply));
}

asio::awaitable<aggregator::Answer> answer_after_a_minute(std::atomic<int>& started,
                                                          std::atomic<int>& cancelled) {
  ++started;
  try {
    co_await pause(60'000);
  } catch (const boost::system::system_error&) {
    ++cancelled;
  }
  co_return answer_of(reply_of(experts::Outcome::cancelled));
}

Options tls_options(const CertificateFolder& folder) {
  Options options = quick_options();
  options.tls = folder.files();
  return options;
}

void read_to_end(Client& client) {
  char bytes[4096];
  while (::recv(client.fd(), bytes, sizeof bytes, 0) > 0) {
  }
}

std::string why_refused(const TlsFiles& files) {
  try {
    const Certificate certificate(files);
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

/// The counter of handshakes that failed, read as an operator would.
int handshakes_failed(std::uint16_t port) {
  TlsClient client(port);
  const std::string text =
      client.ask("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "never");
  const std::string_view name = "limit=\"handshake\"} ";
  const auto at = text.find(name);
  return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + name.size());
}

}  // namespace

TEST(Tls, answers_keeps_the_connection_and_says_goodbye) {
  const CertificateFolder folder;
  const Rig rig(tls_options(folder));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(rig.port(), [version](SSL_CTX* context) {
      SSL_CTX_set_max_proto_version(context, version);
      SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>("\2h2\10http/1.1"),
                              12);
    });
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(SSL_version(client.ssl()), version);
    EXPECT_EQ(client.peer_name(), "first");
    const unsigned char* chosen = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(client.ssl(), &chosen, &size);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), "http/1.1");
    for (int i = 0; i < 3; ++i) {
      const std::string reply = client.ask(chat(kPing), kPongEnd);
      EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 ") && reply.find("pong") != std::string::npos)
          << reply;
    }
    client.ask(chat(kPing, "Connection: close\r\n"), kPongEnd);
    EXPECT_TRUE(client.at_goodbye());
  }
}

TEST(Tls, requests_in_pieces_pipelined_and_large_arrive_whole) {
  const CertificateFolder folder;
  const Rig rig(tls_options(folder));
  TlsClient client(rig.port());
  for (const char byte : chat(kPing)) ASSERT_TRUE(client.send({&byte, 1}));
  EXPECT_NE(client.read_to(kPongEnd).find("pong"), std::string::npos);

  ASSERT_TRUE(client.send(chat(kPing) + chat(kPing)));
  std::string both;
  while (both.size() < 2 || both.find("pong", both.find("pong") + 1) == std::string::npos) {
    const std::string more = client.read_to(kPongEnd);
    ASSERT_FALSE(more.empty()) << both;
    both += more;
  }

  const std::string long_text(2'000'000, 'x');
  const std::string body =
      R"({"model":"alpha","messages":[{"role":"user","content":")" + long_text + R"("}]})";
  EXPECT_NE(client.ask(chat(body), kPongEnd).find("pong"), std::string::npos);
}

TEST(Tls, streams_come_whole_to_a_client_that_reads_late) {
  const CertificateFolder folder;
  constexpr int kEvents = 200;
  Doors doors = pong_doors();
  const std::string event = "data: {\"x\":\"" + std::string(20'000, 'x') + "\"}\n\n";
  doors.answer = [&event](const router::Query&, experts::Sink* sink) {
    return answer_events(sink, event, kEvents);
  };
  const Rig rig(tls_options(folder), doors);
  TlsClient client(rig.port());
  ASSERT_TRUE(client.send(chat(kPingStream)));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const std::string text = client.read_to("0\r\n\r\n");
  int events = 0;
  for (auto at = text.find("data: {"); at != std::string::npos; at = text.find("data: {", at + 1))
    ++events;
  EXPECT_EQ(events, kEvents);
  EXPECT_NE(text.find("data: [DONE]"), std::string::npos);
}

TEST(Tls, a_goodbye_while_the_request_runs_cancels_it) {
  const CertificateFolder folder;
  std::atomic<int> started{0}, cancelled{0};
  Doors doors = pong_doors();
  doors.answer = [&](const router::Query&, experts::Sink*) {
    return answer_after_a_minute(started, cancelled);
  };
  const Rig rig(tls_options(folder), doors);
  TlsClient client(rig.port());
  ASSERT_TRUE(client.send(chat(kPing)));
  while (started == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  SSL_shutdown(client.ssl());  // the socket stays open
  for (int i = 0; i < 5'000 && cancelled == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(cancelled, 1);
}

TEST(Tls, old_versions_and_other_protocols_are_refused) {
  const CertificateFolder folder;
  const Rig rig(tls_options(folder));
  const TlsClient old(rig.port(), [](SSL_CTX* context) {
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
  });
  EXPECT_FALSE(old.connected());
  const TlsClient h2(rig.port(), [](SSL_CTX* context) {
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>("\2h2"), 3);
  });
  EXPECT_FALSE(h2.connected());
  EXPECT_EQ(handshakes_failed(rig.port()), 2);
}

TEST(Tls, plain_http_is_told_to_come_over_https) {
  const CertificateFolder folder;
  const Rig rig(tls_options(folder));
  Client client(rig.port());
  const Reply reply = client.ask("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("https://"), std::string::npos) << reply.body;
  EXPECT_TRUE(client.at_end());
}

TEST(Tls, garbage_instead_of_a_handshake_ends_the_connection_only) {
  const CertificateFolder folder;
  const Rig rig(tls_options(folder));
  std::mt19937 chance(7);
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    std::string bytes(1 + chance() % 3'000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(chance());
    // Half of them begin as a handshake's record does, one in four as a ClientHello.
    if (i % 2 == 0) bytes.replace(0, std::min<std::size_t>(3, bytes.size()), "\x16\x03\x01");
    if (i % 4 == 0 && bytes.size() > 9) bytes.replace(5, 4, std::string("\x01\x00\x02\x00", 4));
    Client client(rig.port());
    client.send(bytes);
    client.close_sending_side();
    read_to_end(client);
  }
  EXPECT_GT(handshakes_failed(rig.port()), kTries / 2);
  TlsClient client(rig.port());
  EXPECT_NE(client.ask(chat(kPing), kPongEnd).find("pong"), std::string::npos);
}

TEST(Tls, a_handshake_that_does_not_end_is_cut) {
  const CertificateFolder folder;
  Options options = tls_options(folder);
  options.head_ms_max = 200;
  const Rig rig(options);
  Client silent(rig.port());
  Client slow(rig.port());
  slow.send("\x16\x03\x01\x02");
  for (int i = 0; i < 4; ++i) {  // a byte now and then does not prolong it
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    slow.send("\x01");
  }
  EXPECT_TRUE(slow.at_end());
  EXPECT_TRUE(silent.at_end());
  EXPECT_EQ(handshakes_failed(rig.port()), 2);
}

TEST(Tls, a_new_certificate_is_for_new_connections) {
  CertificateFolder folder;
  Rig rig(tls_options(folder));
  TlsClient before(rig.port());
  EXPECT_EQ(before.peer_name(), "first");
  folder.renew("second");
  rig.server().reload_certificate();
  TlsClient after(rig.port());
  EXPECT_EQ(after.peer_name(), "second");
  EXPECT_NE(before.ask(chat(kPing), kPongEnd).find("pong"), std::string::npos);

  folder.renew("third", -200, -100);  // expired
  rig.server().reload_certificate();
  TlsClient kept(rig.port());
  EXPECT_EQ(kept.peer_name(), "second");
}

TEST(Tls, a_certificate_that_cannot_be_used_says_why) {
  CertificateFolder folder;
  const TlsFiles files = folder.files();
  EXPECT_EQ(why_refused(files), "");
  const auto expect = [&](std::string_view words) {
    const std::string why = why_refused(files);
    EXPECT_NE(why.find(words), std::string::npos) << why;
  };
  ::chmod(files.key.c_str(), 0644);
  expect("chmod 600");
  folder.renew("x", -200, -100);
  expect("expired on 2");
  folder.renew("x", 3'600, 7'200);
  expect("not valid before 2");
  folder.renew("x");
  write_key(files.key, make_key().get());
  expect("do not belong together");
  const KeyPtr key = make_key();
  write_certificate(files.certificate, key.get(), "x");
  write_key(files.key, key.get(), "secret");
  expect("without a passphrase");
  write_key(files.key, key.get());
  EXPECT_EQ(why_refused(files), "");
  std::filesystem::resize_file(files.certificate, 100);
  expect("no readable PEM");
  std::filesystem::remove(files.key);
  expect("No such file");
}

}  // namespace http
