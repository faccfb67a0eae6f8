#include "experts/check.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "experts/discover.h"
#include "experts/remote.h"

namespace experts {

namespace asio = boost::asio;

namespace {

Call tiny_call(const ExpertOptions& options, int wait_ms) {
  Call call;
  call.deadline = Clock::now() + std::chrono::milliseconds(wait_ms);
  if (options.capabilities.embeddings) {
    call.task = Task::embeddings;
    call.wire = R"("input":"ping")";
    return call;
  }
  call.wire = R"("messages":[{"role":"user","content":"ping"}],"max_tokens":1)";
  call.messages = {{Role::user, "ping"}};
  call.sampling.tokens_max = 1;
  return call;
}

/// The work keeps to its wait by itself. Who left earlier would leave a coroutine behind that uses
/// the expert.
void run(asio::io_context& io, const bool& settled) {
  while (!settled) io.run_one();
}

}  // namespace

Checked check(ExpertOptions options, int wait_ms) {
  options.enabled = true;
  options.timeouts = {wait_ms, wait_ms, wait_ms, wait_ms};
  options.retries.count_max = 0;
  const auto roster = make_roster({options}, nullptr);
  asio::io_context io(1);
  PoolOptions limits;
  limits.sweep_ms = 20;
  NetThread thread(io, limits);
  RemoteExpert expert(thread, roster->entries[0]);
  const Call call = tiny_call(options, wait_ms);
  Checked checked;
  std::string listed;
  bool settled = false;
  asio::co_spawn(io, expert.list_models(), [&](const std::exception_ptr&, std::string body) {
    listed = std::move(body);
    settled = true;
  });
  run(io, settled);
  checked.listed = !listed.empty();
  for (const auto& model : read_models(thread.json, listed)) checked.models.push_back(model.id);
  settled = false;
  asio::co_spawn(io, expert.ask(call, nullptr), [&](const std::exception_ptr&, Reply reply) {
    checked.reply = std::move(reply);
    settled = true;
  });
  run(io, settled);
  return checked;
}

}  // namespace experts
