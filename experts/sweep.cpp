#include "experts/sweep.h"

namespace experts {

void Sweep::add(Waiting& waiting) {
  list_.push_back(waiting);
  if (!scheduled_) schedule();
}

void Sweep::schedule() {
  scheduled_ = true;
  timer_.expires_after(period_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) run();
  });
}

void Sweep::run() {
  const Clock::time_point now = Clock::now();
  for (auto it = list_.begin(); it != list_.end();) {
    Waiting& waiting = *it;
    it = waiting.due <= now ? list_.erase(it) : std::next(it);
    if (!waiting.is_linked()) waiting.expire();
  }
  scheduled_ = false;
  if (!list_.empty()) schedule();
}

}  // namespace experts
