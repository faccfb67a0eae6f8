#include "experts/native_model.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <utility>

#include "experts/native_json.h"

namespace experts {
namespace {

moe::Model open_model(const NativeSource& source) {
  moe::Model model = moe::Model::open(source.file);
  if (source.context_tokens > 0 && source.context_tokens < model.config.context) {
    model.config.context = static_cast<int>(source.context_tokens);
  }
  return model;
}

moe::EngineOptions engine_options(const NativeOptions& options) {
  moe::EngineOptions engine;
  engine.threads = options.threads;
  engine.kv_bytes_max = static_cast<std::size_t>(options.kv_bytes_max);
  engine.sequences_max = options.sequences_max;
  engine.coarse = options.activation_bits == 8;
  engine.store.bytes_max = static_cast<std::size_t>(options.expert_bytes_max);
  return engine;
}

NativeEnding ending_of(const moe::TextEnding& end) {
  NativeEnding ending;
  ending.usage = {end.prompt_tokens, end.completion_tokens, end.cached_tokens, true};
  switch (end.finish) {
    case moe::Finish::stop:
      ending.finish_reason = "stop";
      break;
    case moe::Finish::length:
      ending.finish_reason = "length";
      break;
    case moe::Finish::cancelled:
      ending.outcome = Outcome::cancelled;
      ending.error = "the engine ended the request";
      break;
    case moe::Finish::failed:
      ending.outcome = Outcome::failed;
      ending.error = end.error;
      break;
  }
  return ending;
}

NativeEnding refusal_of(const moe::TextTicket& ticket) {
  NativeEnding ending;
  ending.error = ticket.error;
  switch (ticket.refusal) {
    case moe::TextRefusal::none:
      break;
    case moe::TextRefusal::malformed:
      ending.outcome = Outcome::refused;
      break;
    case moe::TextRefusal::too_long:
      ending.outcome = Outcome::refused;
      ending.code = "context_length_exceeded";
      break;
    case moe::TextRefusal::unsupported:
      ending.outcome = Outcome::failed;
      break;
    case moe::TextRefusal::queue_full:
    case moe::TextRefusal::stopping:
      ending.outcome = Outcome::overloaded;
      break;
  }
  return ending;
}

NativeEnding unreachable(const std::string& error) {
  NativeEnding ending;
  ending.outcome = Outcome::unreachable;
  ending.error = error;
  return ending;
}

}  // namespace

/// Order of construction: the text stands on the engine, the engine on the weights.
struct NativeModel::Loaded {
  moe::Model model;
  moe::Engine engine;
  moe::TextModel text;
  const double temperature;     // of requests that ask for none
  std::atomic<int> replies{0};  // accepted and not ended: they use `text`
  std::atomic<std::uint64_t> first_tokens{0}, first_token_us{0}, generation_us{0};

  explicit Loaded(const NativeSource& source)
      : model(open_model(source)),
        engine(model, engine_options(source.options)),
        text(moe::read_vocabulary(model.gguf), engine, model.config.context, {}),
        temperature(std::max(0.0, model.gguf.number("general.sampling.temp").value_or(1))) {}

  ~Loaded() {
    for (int left = replies.load(); left != 0; left = replies.load()) replies.wait(left);
  }

  void end_reply() {
    replies.fetch_sub(1);
    replies.notify_one();
  }
};

NativeModel::NativeModel(NativeSource source) : source_(std::move(source)) {}

NativeModel::~NativeModel() {
  if (thread_.joinable()) thread_.join();
}

void NativeModel::submit(moe::TextRequest request, std::shared_ptr<NativeLine> line) {
  const std::scoped_lock lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  jobs_.push_back({std::move(request), std::move(line), Clock::now()});
  wake_.notify_one();
}

void NativeModel::load(std::function<void(const std::string& error)> done) {
  order([this, done = std::move(done)] {
    const std::string error = loaded_ ? "" : open();
    // The whole load is paid here, not page by page by the first requests.
    const bool mapped = error.empty() && source_.options.expert_bytes_max == 0;
    if (mapped) {
      for (const auto& file : loaded_->model.gguf.files()) file.populate(0, file.bytes().size());
    }
    done(error);
  });
}

void NativeModel::unload(std::function<void()> done) {
  order([this, done = std::move(done)] {
    close();
    done();
  });
}

void NativeModel::order(std::function<void()> what) {
  const std::scoped_lock lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  orders_.push_back(std::move(what));
  wake_.notify_one();
}

void NativeModel::stop() {
  const std::scoped_lock lock(mutex_);
  stopping_ = true;
  gone_ = !thread_.joinable();
  wake_.notify_one();
}

std::optional<NativeStatus> NativeModel::status() const {
  const std::scoped_lock lock(mutex_);
  if (shown_ == nullptr) return std::nullopt;
  return NativeStatus{source_.file, shown_->engine.stats(), shown_->first_tokens.load(),
                      shown_->first_token_us.load(), shown_->generation_us.load()};
}

bool NativeModel::is_gone() const {
  const std::scoped_lock lock(mutex_);
  return gone_;
}

void NativeModel::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty() || !orders_.empty(); });
    if (stopping_) break;
    if (!jobs_.empty()) {
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      serve(std::move(job));
    } else {
      const auto what = std::move(orders_.front());
      orders_.pop_front();
      lock.unlock();
      what();
    }
    lock.lock();
  }
  jobs_.clear();
  orders_.clear();
  lock.unlock();
  close();
  lock.lock();
  gone_ = true;
}

void NativeModel::serve(Job job) {
  if (!job.line->is_open()) return;
  if (!loaded_) {
    if (const std::string error = open(); !error.empty()) {
      job.line->end(unreachable(error));
      const std::scoped_lock lock(mutex_);
      for (const Job& other : jobs_) other.line->end(unreachable(error));
      jobs_.clear();
      return;
    }
  }
  Loaded* const loaded = loaded_.get();
  const auto line = job.line;
  double& temperature = job.request.sampling.temperature;
  if (temperature == kTemperatureOfFile) temperature = loaded->temperature;
  const bool with_logprobs = job.request.sampling.logprobs_top >= 0;
  // On the engine's thread alone, one after the other.
  const auto first = std::make_shared<Clock::time_point>();
  job.request.on_piece = [=, since = job.since](const moe::TextPiece& piece) {
    if (*first == Clock::time_point{}) {
      *first = Clock::now();
      loaded->first_tokens.fetch_add(1);
      loaded->first_token_us.fetch_add(static_cast<std::uint64_t>(us_between(since, *first)));
    }
    const moe::Tokenizer& tokenizer = loaded->text.tokenizer();
    line->say(piece.text, with_logprobs ? logprobs_json(piece.tokens, tokenizer) : "");
  };
  job.request.on_end = [=](const moe::TextEnding& end) {
    if (*first != Clock::time_point{}) {
      loaded->generation_us.fetch_add(static_cast<std::uint64_t>(us_between(*first, Clock::now())));
    }
    line->end(ending_of(end));
    loaded->end_reply();
  };
  loaded->replies.fetch_add(1);
  moe::TextTicket ticket;
  try {
    ticket = loaded->text.submit(std::move(job.request));
  } catch (const std::exception& fault) {  // no memory for this prompt: its caller's trouble alone
    ticket = {moe::TextRefusal::unsupported, 0, fault.what()};
  }
  if (ticket.refusal == moe::TextRefusal::none) {
    line->accept([loaded, id = ticket.id] { loaded->engine.cancel(id); });
  } else {
    loaded->end_reply();
    line->end(refusal_of(ticket));
  }
}

/// Why the file cannot be served, or nothing.
std::string NativeModel::open() {
  const Clock::time_point begin = Clock::now();
  try {
    loaded_ = std::make_unique<Loaded>(source_);
  } catch (const std::exception& fault) {
    spdlog::error("native model {}: not loaded: {}", source_.file, fault.what());
    const std::string why = fault.what();
    return why.empty() ? "unknown" : why;
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  spdlog::info("native model {}: loaded in {:.2f} s, context {} tokens", source_.file, took.count(),
               loaded_->model.config.context);
  if (const std::string& why = loaded_->text.template_error(); !why.empty()) {
    spdlog::error("native model {}: it cannot chat: {}", source_.file, why);
  }
  const std::scoped_lock lock(mutex_);
  shown_ = loaded_.get();
  return "";
}

void NativeModel::close() {
  if (!loaded_) return;
  {
    const std::scoped_lock lock(mutex_);
    shown_ = nullptr;
  }
  loaded_.reset();
  spdlog::info("native model {}: unloaded", source_.file);
}

std::int64_t NativeModels::bytes_of(const NativeSource& source) {
  std::error_code fault;
  const auto size = std::filesystem::file_size(source.file, fault);
  return fault ? 0 : static_cast<std::int64_t>(size) + source.options.kv_bytes_max;
}

std::shared_ptr<NativeModel> NativeModels::find(const NativeSource& source) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(models_, [](const auto& known) { return known.second.expired(); });
  for (const auto& [known, pointer] : models_) {
    if (known != source) continue;
    if (auto model = pointer.lock()) return model;
  }
  std::shared_ptr<NativeModel> model(new NativeModel(source), [this](NativeModel* last) {
    retire(std::unique_ptr<NativeModel>(last));
  });
  models_.emplace_back(source, model);
  ++held_;
  return model;
}

NativeModels::~NativeModels() {
  std::unique_lock lock(mutex_);
  let_go_.wait(lock, [this] { return held_ == 0; });
}

std::vector<NativeStatus> NativeModels::describe() const {
  std::vector<std::shared_ptr<NativeModel>> models;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [source, pointer] : models_) {
      if (auto model = pointer.lock()) models.push_back(std::move(model));
    }
  }
  // Outside the lock: the last pointer may be ours, and then the model retires here.
  std::vector<NativeStatus> loaded;
  for (const auto& model : models) {
    if (auto status = model->status()) loaded.push_back(std::move(*status));
  }
  return loaded;
}

void NativeModels::retire(std::unique_ptr<NativeModel> model) {
  model->stop();
  const std::scoped_lock lock(mutex_);
  std::erase_if(retired_, [](const auto& old) { return old->is_gone(); });
  retired_.push_back(std::move(model));
  --held_;
  let_go_.notify_all();  // under the lock: the waiting destructor ends after it
}

}  // namespace experts
