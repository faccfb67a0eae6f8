#include "experts/residents.h"

#include <fmt/core.h>

#include <iterator>

#include "experts/resident_group.h"
#include "experts/target.h"

namespace experts {

namespace asio = boost::asio;

namespace {

/// An expert behind the memory that it shares with others.
class ResidentExpert final : public Expert, public Foreseen {
 public:
  ResidentExpert(NetThread& thread, const Entry& entry, std::unique_ptr<Expert> expert,
                 std::shared_ptr<ResidentGroup::Lease> lease)
      : thread_(thread),
        name_(entry.options.name),
        expert_(std::move(expert)),
        lease_(std::move(lease)) {}

  asio::awaitable<Reply> ask(const Call& call, Sink* sink) override {
    Reply reply;
    reply.expert = name_;
    ResidentGroup::Place place(thread_.io, lease_);
    const bool admitted = co_await place.enter(call, reply);
    if (!admitted) co_return reply;
    const std::int64_t waited_us = reply.timings.load_us;
    reply = co_await expert_->ask(call, sink);
    reply.timings.load_us = waited_us;
    reply.timings.queued_us += waited_us;
    reply.timings.total_us += waited_us;
    if (reply.timings.first_byte_us >= 0) reply.timings.first_byte_us += waited_us;
    if (reply.outcome == Outcome::ok) place.finish();
    co_return reply;
  }

  void expect(double chance) override { lease_->expect(chance); }

 private:
  NetThread& thread_;
  const std::string name_;
  const std::unique_ptr<Expert> expert_;
  const std::shared_ptr<ResidentGroup::Lease> lease_;
};

}  // namespace

Residents::Residents(const ResidencyOptions& options, NativeModels& models)
    : options_(options), models_(models) {}

Residents::~Residents() {
  for (const auto& [name, group] : groups_) group->stop();
}

ExpertWrapper Residents::wrapper() {
  return [this](NetThread& thread, const Entry& entry, std::unique_ptr<Expert> expert) {
    return wrap(thread, entry, std::move(expert));
  };
}

std::shared_ptr<ResidentGroup> Residents::group(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  std::shared_ptr<ResidentGroup>& group = groups_[name];
  if (group) return group;
  ResidencyOptions options = options_;
  if (!name.empty()) {
    options.bytes_max = 0;
    options.experts_max = 1;
  }
  group = std::make_shared<ResidentGroup>(name, options);
  return group;
}

std::unique_ptr<Expert> Residents::wrap(NetThread& thread, const Entry& entry,
                                        std::unique_ptr<Expert> expert) {
  const ExpertOptions& options = entry.options;
  const bool native = options.kind == Kind::native && options_.limits();
  if (!native && (options.kind != Kind::remote || options.swap_group.empty())) return expert;
  ResidentSource source;
  source.spec.load_us = std::int64_t{options.load_ms} * 1000;
  source.spec.queue_max = options_.queue_max;
  source.spec.bytes = options.resident_bytes;
  if (native) {
    const NativeSource of = {options.url, options.context_tokens, options.native};
    source.name = options.url;
    source.model = models_.find(of);
    source.owner = source.model;
    source.spec.concurrency_max = options.native.sequences_max;
    if (source.spec.bytes == 0) source.spec.bytes = NativeModels::bytes_of(of);
  } else {
    source.name = options.name;
    source.owner = entry.standing;
    source.spec.concurrency_max = options.concurrency_max;
    source.spec.load_timed = false;
  }
  auto lease = group(options.swap_group)->rent(source, entry.standing);
  return std::make_unique<ResidentExpert>(thread, entry, std::move(expert), std::move(lease));
}

std::vector<ResidentStatus> Residents::describe() const {
  std::vector<ResidentStatus> all;
  const std::scoped_lock lock(mutex_);
  for (const auto& [name, group] : groups_) group->describe(all);
  return all;
}

void append_metrics(const Residents& residents, std::string& out) {
  const std::vector<ResidentStatus> all = residents.describe();
  if (all.empty()) return;
  const auto family = [&](std::string_view name, std::string_view type, auto value) {
    fmt::format_to(std::back_inserter(out), "# TYPE skillyard_resident_{} {}\n", name, type);
    for (const ResidentStatus& status : all) {
      fmt::format_to(std::back_inserter(out), "skillyard_resident_{}{{group={},name={}}} {}\n",
                     name, quote_json(status.group), quote_json(status.name), value(status));
    }
  };
  using Status = ResidentStatus;
  family("state", "gauge", [](const Status& s) { return static_cast<int>(s.now.state); });
  family("bytes", "gauge", [](const Status& s) { return s.now.bytes; });
  family("waiting", "gauge", [](const Status& s) { return s.now.waiting; });
  family("inflight", "gauge", [](const Status& s) { return s.now.inflight; });
  family("expected_wait_seconds", "gauge",
         [](const Status& s) { return static_cast<double>(s.now.expected_wait_us) / 1e6; });
  family("loads_total", "counter", [](const Status& s) { return s.loads; });
  family("load_failures_total", "counter", [](const Status& s) { return s.load_failures; });
  family("load_seconds_total", "counter",
         [](const Status& s) { return static_cast<double>(s.load_us) / 1e6; });
  family("waits_total", "counter", [](const Status& s) { return s.waits; });
  family("wait_seconds_total", "counter",
         [](const Status& s) { return static_cast<double>(s.wait_us) / 1e6; });
  family("refused_total", "counter", [](const Status& s) { return s.refused; });
}

}  // namespace experts
