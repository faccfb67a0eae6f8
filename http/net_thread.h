// One net thread: its event loop, its listening socket, its sessions and what they share.
//
// Everything here is used on this thread only, but for drain(), cancel() and abandon(), which may
// be called from any thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <random>
#include <string>

#include "http/doors.h"
#include "http/metrics.h"
#include "http/openai.h"
#include "http/options.h"
#include "http/session.h"

namespace http {

/// Makes the doors of one net thread; called once per thread, before it runs. Objects behind the
/// doors may use the loop, and are destroyed before it.
using MakeDoors = std::function<Doors(boost::asio::io_context& loop, int index)>;

class NetThread {
 public:
  /// `listener` is a bound, listening TCP socket, which becomes this object's own. `certificate`
  /// outlives this object; null: no TLS.
  NetThread(const Options& options, Metrics& metrics, int index, int listener,
            const Certificate* certificate, const MakeDoors& make_doors);
  ~NetThread();

  /// Runs until drained; on the net thread.
  void run();

  /// Any thread: no new connections, idle ones close, requests that run are finished.
  void drain();

  /// Any thread: requests that still run are cancelled.
  void cancel();

  /// Any thread: the loop stops at once.
  void stop() { loop_.stop(); }

  // For sessions and handlers.
  const Options& options() const { return options_; }

  const Doors& doors() const { return doors_; }

  const Metrics& all_metrics() const { return metrics_; }

  Metrics::Shard& metrics() { return shard_; }

  ChatReader& chat_reader() { return chat_reader_; }

  std::mt19937_64& chance() { return chance_; }

  std::string& scratch() { return scratch_; }  // for one send; never across a co_await

  std::string_view date() const { return date_; }

  bool draining() const { return draining_; }

  /// The state of a new connection; null: it is plain.
  std::unique_ptr<Tls> begin_tls() const {
    return certificate_ == nullptr ? nullptr : certificate_->accept();
  }

  void count_running(int more) { running_ += more; }

  /// So many requests run that replies are sent together at the end of a turn of the loop: a client
  /// that is awake for the first need not be woken for the others, and waking it costs more than
  /// sending.
  bool crowded() const { return running_ > kCrowd; }

  /// Adds to the bytes of request bodies held now; false, and nothing added, beyond the limit.
  bool hold_body(std::size_t bytes);

  void release_body(std::size_t bytes) { body_bytes_ -= bytes; }

 private:
  static constexpr int kCrowd = 8;

  void accept_next();
  void admit(Socket socket);
  void turn_away(Socket socket);
  void sweep();
  void stop_when_empty();

  const Options& options_;
  Metrics& metrics_;
  Metrics::Shard& shard_;
  const Certificate* certificate_;
  boost::asio::io_context loop_{1};
  boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, boost::asio::io_context::executor_type>
      acceptor_;
  boost::asio::steady_timer timer_;
  Doors doors_;
  ChatReader chat_reader_;
  std::mt19937_64 chance_;
  std::string scratch_;
  std::string date_;
  std::list<Session> sessions_;
  std::size_t connections_max_;
  std::size_t body_bytes_ = 0;
  int running_ = 0;  // requests
  bool accepting_ = false;
  bool starved_ = false;  // the last accept failed, and the log says so
  bool draining_ = false;
};

}  // namespace http
