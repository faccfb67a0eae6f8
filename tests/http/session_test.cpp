// One connection seen from outside: keep-alive, pipelining, HEAD, HTTP/1.0, bodies in pieces, slow
// and vanishing clients, deadlines, drain.
#include <list>

#include "tests/http/rig.h"

namespace http {

namespace {

/// What a corridor saw, read from the test's thread.
struct Watch {
  std::atomic<int> started{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> finished{0};
  std::atomic<int> written{0};
};

/// Waits for `ms`, or until it is cancelled; as an expert does, it does not let the exception out.
asio::awaitable<aggregator::Answer> answer_late(Watch& watch, int ms) {
  ++watch.started;
  bool cancelled = false;
  try {
    co_await pause(ms);
  } catch (const boost::system::system_error&) {
    cancelled = true;
  }
  ++(cancelled ? watch.cancelled : watch.finished);
  co_return answer_of(reply_of(cancelled ? experts::Outcome::cancelled : experts::Outcome::ok));
}

Doors late_doors(Watch& watch, int ms) {
  Doors doors = pong_doors();
  doors.answer = [&watch, ms](const router::Query&, experts::Sink*) {
    return answer_late(watch, ms);
  };
  return doors;
}

asio::awaitable<aggregator::Answer> answer_many(Watch& watch, experts::Sink* sink, int events,
                                                std::string event) {
  experts::Reply reply = reply_of(experts::Outcome::ok);
  reply.started = true;
  for (int i = 0; i < events; ++i) {
    const bool there = co_await sink->write(event);
    if (!there) {
      ++watch.cancelled;
      reply.outcome = experts::Outcome::cancelled;
      break;
    }
    ++watch.written;
  }
  co_return answer_of(std::move(reply));
}

Doors many_doors(Watch& watch, int events, std::string event) {
  Doors doors = pong_doors();
  doors.answer = [&watch, events, event](const router::Query&, experts::Sink* sink) {
    return answer_many(watch, sink, events, event);
  };
  return doors;
}

/// True when `condition` holds within five seconds.
template <typename Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 5'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

std::string event_of(std::size_t bytes) {
  return "data: {\"x\":\"" + std::string(bytes, 'x') + "\"}\n\n";
}

}  // namespace

TEST(Session, answers_and_keeps_the_connection) {
  Rig rig;
  Client client(rig.port());
  for (int i = 0; i < 3; ++i) {
    const Reply reply = client.ask(chat(kPing));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, kPong);
    EXPECT_EQ(reply.fields.at("x-skillyard-expert"), "alpha");
    const std::string& decision = reply.fields.at("x-skillyard-decision");
    EXPECT_EQ(decision.size(), 30u);
    EXPECT_EQ(reply.fields.at("x-request-id").substr(4), decision.substr(4));
    EXPECT_FALSE(reply.fields.contains("connection"));
  }
}

TEST(Session, answers_pipelined_requests_in_order) {
  Rig rig;
  Client client(rig.port());
  std::string all;
  for (int i = 0; i < 20; ++i) {
    const std::string id = "x-request-id: n" + std::to_string(i) + "\r\n";
    all += i % 3 == 0 ? "GET /health/live HTTP/1.1\r\nHost: x\r\n" + id + "\r\n" : chat(kPing, id);
  }
  // In two parts that split a request, so that one read holds several and a half.
  client.send(std::string_view(all).substr(0, all.size() / 2 + 7));
  client.send(std::string_view(all).substr(all.size() / 2 + 7));
  for (int i = 0; i < 20; ++i) {
    const Reply reply = client.read();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.fields.at("x-request-id"), "n" + std::to_string(i));
    EXPECT_EQ(reply.body, i % 3 == 0 ? R"({"status":"ok"})" : kPong);
  }
}

TEST(Session, reads_a_request_cut_anywhere) {
  Rig rig;
  Client client(rig.port());
  const std::string request = chat(kPing);
  for (std::size_t cut = 1; cut < request.size(); cut += 7) {
    client.send(std::string_view(request).substr(0, cut));
    client.send(std::string_view(request).substr(cut));
    EXPECT_EQ(client.read().body, kPong);
  }
}

TEST(Session, reads_chunked_bodies_and_ignores_trailers) {
  Rig rig;
  Client client(rig.port());
  const std::string head =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: Application/JSON "
      ";charset=utf-8\r\n"
      "Transfer-Encoding: Chunked\r\n\r\n";
  std::string chunks;
  for (const char byte : kPing) {
    chunks.append("1;ext=\"a\"\r\n").append(1, byte).append("\r\n");
  }
  EXPECT_EQ(client.ask(head + chunks + "0\r\nX-Skillyard-Explain: 1\r\n\r\n").body, kPong);
  EXPECT_EQ(client.ask(chat(kPing)).body, kPong);
}

TEST(Session, reads_large_bodies_and_gives_the_memory_back) {
  Rig rig;
  Client client(rig.port());
  std::string body = R"({"model":"alpha","messages":[{"role":"user","content":")";
  body.append(5'000'000, 'x').append("\"}]}");
  EXPECT_EQ(client.ask(chat(body)).body, kPong);
  EXPECT_EQ(client.ask(chat(kPing)).body, kPong);
}

TEST(Session, continues_when_the_client_waits_for_it) {
  Rig rig;
  Client client(rig.port());
  const std::string request = chat(kPing, "Expect: 100-continue\r\n");
  const std::size_t head_end = request.find("\r\n\r\n") + 4;
  client.send(std::string_view(request).substr(0, head_end));
  EXPECT_EQ(client.read().status, 100);
  client.send(std::string_view(request).substr(head_end));
  EXPECT_EQ(client.read().body, kPong);
  EXPECT_EQ(client.ask(request).status, 200) << "no 100 when the body is already there";
}

TEST(Session, refuses_a_large_body_before_it_is_sent) {
  Rig rig;
  Client client(rig.port());
  const Reply reply = client.ask(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
      "Content-Length: 99999999\r\n\r\n");
  EXPECT_EQ(reply.status, 413);
  EXPECT_TRUE(client.at_end());
}

TEST(Session, answers_head_without_a_body) {
  Rig rig;
  Client client(rig.port());
  client.send("HEAD /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
  const Reply reply = client.read(true);
  EXPECT_EQ(reply.status, 200);
  const Reply whole = client.ask("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(reply.fields.at("content-length"), std::to_string(whole.body.size()));
}

TEST(Session, speaks_http_1_0) {
  Rig rig;
  Client once(rig.port());
  EXPECT_EQ(once.ask("GET /health/live HTTP/1.0\r\n\r\n").fields.at("connection"), "close");
  EXPECT_TRUE(once.at_end());
  Client kept(rig.port());
  for (int i = 0; i < 2; ++i) {
    const Reply reply = kept.ask("GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(reply.fields.at("connection"), "keep-alive");
  }
  Client stream(rig.port());
  std::string request = chat(kPingStream);
  request.replace(request.find("1.1"), 3, "1.0");
  const Reply reply = stream.ask(request);  // no framing: the body ends with the connection
  EXPECT_FALSE(reply.fields.contains("transfer-encoding"));
  EXPECT_EQ(reply.body,
            std::string(kEvent) + std::string(kEvent) + std::string(kEvent) + "data: [DONE]\n\n");
}

TEST(Session, closes_when_asked_to) {
  Rig rig;
  Client client(rig.port());
  const Reply reply = client.ask(chat(kPing, "Connection: close\r\n"));
  EXPECT_EQ(reply.body, kPong);
  EXPECT_EQ(reply.fields.at("connection"), "close");
  EXPECT_TRUE(client.at_end());
}

TEST(Session, answers_a_client_that_closed_its_sending_side) {
  Rig rig;
  Client client(rig.port());
  client.send(chat(kPing));
  client.close_sending_side();
  EXPECT_EQ(client.read().body, kPong);
  EXPECT_TRUE(client.at_end());
}

TEST(Session, cancels_when_the_client_goes_away) {
  Watch watch;
  Rig rig(quick_options(), late_doors(watch, 60'000));
  Client client(rig.port());
  client.send(chat(kPing));
  ASSERT_TRUE(soon([&] { return watch.started == 1; }));
  client.close();
  EXPECT_TRUE(soon([&] { return watch.cancelled == 1; }));
  EXPECT_EQ(watch.finished, 0);
}

TEST(Session, answers_504_at_the_total_deadline_and_goes_on) {
  Watch watch;
  Options options = quick_options();
  options.total_ms_max = 50;
  Rig rig(options, late_doors(watch, 60'000));
  Client client(rig.port());
  for (int i = 1; i <= 2; ++i) {
    const Reply reply = client.ask(chat(kPing));
    EXPECT_EQ(reply.status, 504);
    EXPECT_NE(reply.body.find("deadline_exceeded"), std::string::npos);
    EXPECT_EQ(watch.cancelled, i);
  }
}

TEST(Session, holds_the_writer_back_for_a_slow_reader) {
  Watch watch;
  const std::string event = event_of(64 * 1024);
  const int events = 500;  // 32 MB
  Rig rig(quick_options(), many_doors(watch, events, event));
  Client client(rig.port(), 64 * 1024);
  client.send(chat(kPingStream));
  ASSERT_TRUE(soon([&] { return watch.written > 0; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(watch.written, events / 2) << "only what fits the kernel's buffers may be written";
  const Reply reply = client.read();
  EXPECT_TRUE(client.whole());
  EXPECT_EQ(reply.body.size(), event.size() * events + std::string("data: [DONE]\n\n").size());
  EXPECT_EQ(watch.written, events);
}

TEST(Session, drops_a_client_that_takes_nothing) {
  Watch watch;
  Options options = quick_options();
  options.write_ms_max = 100;
  Rig rig(options, many_doors(watch, 10'000, event_of(64 * 1024)));
  Client client(rig.port(), 16 * 1024);
  client.send(chat(kPingStream));
  EXPECT_TRUE(soon([&] { return watch.cancelled == 1; }));
}

TEST(Session, stops_a_stream_whose_client_left) {
  Watch watch;
  Rig rig(quick_options(), many_doors(watch, 1'000'000, event_of(1'000)));
  Client client(rig.port());
  client.send(chat(kPingStream));
  ASSERT_TRUE(soon([&] { return watch.written > 0; }));
  client.close();
  EXPECT_TRUE(soon([&] { return watch.cancelled == 1; }));
}

TEST(Session, drain_finishes_what_runs_and_takes_nothing_new) {
  Watch watch;
  Rig rig(quick_options(), late_doors(watch, 300));
  Client busy(rig.port());
  Client idle(rig.port());
  EXPECT_EQ(idle.ask("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  busy.send(chat(kPing));
  ASSERT_TRUE(soon([&] { return watch.started == 1; }));
  rig.server().drain();
  EXPECT_TRUE(idle.at_end());
  const Reply reply = busy.read();
  EXPECT_EQ(reply.body, kPong);
  EXPECT_EQ(reply.fields.at("connection"), "close");
  rig.server().wait();
  EXPECT_FALSE(Client(rig.port()).connected());
}

TEST(Session, drain_cancels_what_takes_too_long) {
  Watch watch;
  Options options = quick_options();
  options.drain_ms_max = 50;
  Rig rig(options, late_doors(watch, 60'000));
  Client client(rig.port());
  client.send(chat(kPing));
  ASSERT_TRUE(soon([&] { return watch.started == 1; }));
  rig.server().drain();
  rig.server().wait();
  EXPECT_EQ(watch.cancelled, 1);
  const Reply reply = client.read();
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.body.find("shutting_down"), std::string::npos);
}

// With many requests at once replies are gathered: none may be forgotten, whatever the others do.
TEST(Session, answers_a_crowd_of_which_some_leave_and_drains) {
  Watch watch;
  Rig rig(quick_options(), late_doors(watch, 200));
  std::list<Client> clients;
  for (int i = 0; i < 40; ++i) clients.emplace_back(rig.port());
  for (Client& client : clients) client.send(chat(kPing) + chat(kPing));
  for (Client& client : clients) EXPECT_EQ(client.read().body, kPong);
  for (Client& client : clients) EXPECT_EQ(client.read().body, kPong);
  for (Client& client : clients) client.send(chat(kPing));
  ASSERT_TRUE(soon([&] { return watch.started == 120; }));
  for (int i = 0; i < 20; ++i) clients.pop_back();
  rig.server().drain();
  for (Client& client : clients) {
    EXPECT_EQ(client.read().body, kPong);
    EXPECT_TRUE(client.at_end());
  }
  rig.server().wait();
  EXPECT_EQ(watch.finished + watch.cancelled, 120);
}

TEST(Session, several_net_threads_share_one_port_and_no_other_server_gets_it) {
  Options options = quick_options();
  options.net_threads = 3;
  std::atomic<int> made{0};
  Server server(options, [&made](asio::io_context&, int index) {
    made |= 1 << index;
    return pong_doors();
  });
  server.start();
  EXPECT_EQ(made, 7);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Client(server.port()).ask(chat(kPing)).body, kPong);
  options.port = server.port();
  for (const int threads : {1, 3}) {
    options.net_threads = threads;
    try {
      Server second(options, [](asio::io_context&, int) { return pong_doors(); });
      FAIL() << "two servers share a port";
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find("another program listens there"), std::string::npos);
    }
  }
  options.address = "localhost";
  EXPECT_THROW(Server(options, [](asio::io_context&, int) { return pong_doors(); }),
               std::runtime_error);
}

}  // namespace http
