// Who may ask what: the key check before an endpoint answers, and a key's limits around a chat.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "aggregator/answer.h"
#include "http/problem.h"
#include "router/query.h"

namespace http {

class Session;
struct Account;
struct Key;

/// Whom an endpoint answers, once keys are asked for.
enum class Access : std::uint8_t {
  open,    // everybody: is the service alive
  client,  // a key of either role
  admin
};

/// Most that one call for a query could cost, and how many calls there may be. Only where a failed
/// call is billed and asked again elsewhere can an answer cost more.
struct CostBound {
  std::int64_t call_microusd = 0;
  std::int64_t calls = 1;
};

/// True: the endpoint may answer; the session knows the key, if one was presented. False: the
/// response says why not.
bool authorize(Session& session, Access access);

/// Bounds what `query` may look into by what `key` may reach; a problem when it asks for more, or
/// for a model that is not the key's.
std::optional<Problem> bound_by(const Key& key, router::Query& query);

/// What of `query`'s price and tokens is set aside while it is answered. Settles itself at the full
/// price when nobody did: whoever was asked may send a bill.
class Reservation {
 public:
  Reservation() = default;
  ~Reservation();
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  /// Once. Adds OpenAI's x-ratelimit fields to the response when the key has limits; a problem when
  /// one is reached, and then nothing is set aside.
  std::optional<Problem> take(Session& session, const router::Query& query);

  /// The same for a line of a batch of `key`: its money alone, rates are for who waits.
  std::optional<Problem> take_money(const Key& key, const CostBound& bound, std::int64_t now_us);

  void settle(const aggregator::Answer& answer);

 private:
  void settle(std::int64_t microusd, std::int64_t tokens);

  std::shared_ptr<Account> account_;
  CostBound bound_;
  std::int64_t microusd_ = 0, tokens_ = 0;
  bool rated_ = false;  // tokens_ were taken
};

}  // namespace http
