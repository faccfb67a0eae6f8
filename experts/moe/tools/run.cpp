#include "experts/moe/tools/run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <istream>
#include <ostream>
#include <stdexcept>
#include <utility>

#include "experts/moe/text_model.h"

namespace moe::tools {

namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

class Conversation {
 public:
  Conversation(const RunOptions& options, std::ostream& out, std::ostream& log)
      : options_(options),
        out_(out),
        log_(log),
        model_(Model::open(options.model)),
        engine_(model_, options.engine),
        text_(read_vocabulary(model_.gguf), engine_, model_.config.context, {}) {
    if (!options.system.empty()) messages_.push_back({"system", options.system});
  }

  void complete(const std::string& prompt) {
    TextRequest request;
    request.prompt = prompt;
    answer(std::move(request));
  }

  void say(const std::string& message) {
    messages_.push_back({"user", message});
    TextRequest request;
    request.messages = messages_;
    messages_.push_back({"assistant", answer(std::move(request))});
  }

 private:
  std::string answer(TextRequest request) {
    request.sampling.temperature = options_.temperature;
    request.sampling.top_p = options_.top_p;
    request.sampling.seed = options_.seed + replies_++;
    request.tokens_max = options_.tokens_max;
    request.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const Clock::time_point begin = Clock::now();
    Clock::time_point first{};
    std::string reply;
    std::promise<TextEnding> ended;
    request.on_piece = [&](const TextPiece& piece) {
      if (first == Clock::time_point{}) first = Clock::now();
      reply.append(piece.text);
      out_ << piece.text << std::flush;
    };
    request.on_end = [&](const TextEnding& ending) { ended.set_value(ending); };
    const TextTicket ticket = text_.submit(std::move(request));
    if (ticket.refusal != TextRefusal::none) throw std::runtime_error(ticket.error);
    const TextEnding ending = ended.get_future().get();
    out_ << "\n" << std::flush;
    if (ending.finish == Finish::failed) throw std::runtime_error(ending.error);
    const Clock::time_point end = Clock::now();
    if (first == Clock::time_point{}) first = end;
    char line[160];
    std::snprintf(
        line, sizeof line,
        "[%d prompt tokens, %d of them cached; first text after %.2f s; %d tokens, %.1f a "
        "second]\n",
        ending.prompt_tokens, ending.cached_tokens, seconds(begin, first), ending.completion_tokens,
        ending.completion_tokens / std::max(1e-9, seconds(first, end)));
    log_ << line;
    return reply;
  }

  const RunOptions& options_;
  std::ostream& out_;
  std::ostream& log_;
  const Model model_;
  Engine engine_;
  TextModel text_;
  std::vector<ChatMessage> messages_;
  std::uint64_t replies_ = 0;
};

}  // namespace

void run(const RunOptions& options, std::istream& in, std::ostream& out, std::ostream& log) {
  Conversation conversation(options, out, log);
  if (!options.prompt.empty()) return conversation.complete(options.prompt);
  if (!options.message.empty()) return conversation.say(options.message);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) conversation.say(line);
  }
}

}  // namespace moe::tools
