// Every limit of the edge. The initialisers are the documented defaults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace http {

/// The batch API.
struct BatchOptions {
  std::int64_t files_bytes_max = std::int64_t{4} << 30;  // of all files together
  std::int64_t files_max = 10'000;
  std::int64_t key_bytes_max = std::int64_t{1} << 30;  // of the files of one API key
  std::int64_t key_batches_max = 64;                   // of one API key that have not ended
  std::int64_t lines_max = 50'000;                     // of one batch, as OpenAI's
  std::size_t lines_inflight_max = 1'024;              // lines that are being asked
  std::size_t expert_inflight_max = 32;  // of those for one expert that is always there
  int tries_max = 5;                     // of a line whose experts are overloaded or away
  int retry_ms_max = 30'000;             // longest pause between them
  int flush_ms = 100;                    // outcomes are committed this often
};

/// PEM files of a listener's certificate, its chain behind it, and its key, which no other user may
/// read. Both empty: no TLS. Read at the start and at SIGHUP.
struct TlsFiles {
  std::string certificate, key;
};

struct Options {
  std::string address = "127.0.0.1";  // numeric IPv4 or IPv6 address to listen on
  std::uint16_t port = 8300;          // 0: any free port
  TlsFiles tls;
  int net_threads = 1;  // each with its own event loop and its own listening socket

  std::size_t connections_max = 16'384;  // over all net threads; one more is told 503 and closed
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t target_bytes_max = 2 * 1024;
  std::size_t fields_max = 100;                   // header fields and trailer fields of a request
  std::size_t body_bytes_max = 16 * 1024 * 1024;  // of one request
  std::size_t bodies_bytes_max = 256 * 1024 * 1024;  // of all requests of one net thread together
  std::size_t read_bytes = 4 * 1024;                 // input buffer of an idle connection
  std::size_t read_bytes_max = 64 * 1024;            // while a large body comes in
  std::size_t linger_bytes_max = 1024 * 1024;        // unread input swallowed after an error reply

  int head_ms_max = 10'000;    // first byte of a request (or connect) to the end of its header
  int body_ms_max = 60'000;    // end of the header to the end of the body
  int idle_ms_max = 75'000;    // between two requests of a connection
  int write_ms_max = 30'000;   // without a byte taken by the client
  int total_ms_max = 600'000;  // header complete to the end of the reply; the Call's deadline
  int linger_ms_max = 1'000;   // swallowing unread input before a close
  int drain_ms_max = 30'000;   // what runs may finish after SIGTERM
  int sweep_ms = 200;          // how late a deadline or a vanished client may be noticed
  int heartbeat_ms = 5'000;    // comment line in a stream that has nothing to say

  int json_depth_max = 64;
  std::size_t json_members_max = 128;  // top-level members of a request object
  std::size_t model_bytes_max = 256;
  std::size_t messages_max = 4'096;
  std::size_t text_head_bytes = 2'048;            // what the router reads of a long text: its head
  std::size_t text_tail_bytes = 2'048;            // and its tail
  std::size_t json_kept_bytes_max = 1024 * 1024;  // a parser that grew beyond this is replaced
  bool strict = false;  // unknown request fields are refused instead of passed on

  BatchOptions batches;
  std::size_t series_max = 256;  // label sets per metric and net thread; more fold to `other`
};

/// The listener of administrators (http/admin.h). The file or the command line sets it; it cannot
/// be changed by itself.
struct AdminOptions {
  std::string listen;        // ADDRESS:PORT; empty: there is none
  TlsFiles tls;              // its own: the public listener's is not used here
  bool require_key = false;  // clients need a key even while no client key was ever made

  std::size_t document_bytes_max = 1024 * 1024;     // of one resource or patch
  std::size_t policy_bytes_max = 64 * 1024 * 1024;  // of an uploaded policy; the body limit
  int document_depth_max = 16;
  int versions_page_max = 1'000;  // rows of one reply
};

}  // namespace http
