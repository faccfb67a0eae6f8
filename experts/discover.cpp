#include "experts/discover.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <memory>
#include <unordered_set>

#include "experts/net_thread.h"
#include "experts/remote.h"
#include "experts/reply_json.h"

namespace experts {

namespace asio = boost::asio;
namespace od = simdjson::ondemand;

namespace {

bool is_for_chat(std::string_view id) {
  constexpr std::array<std::string_view, 10> kOther = {
      "embed",  "whisper",    "tts-",   "dall-e",   "moderat",
      "rerank", "transcribe", "-image", "realtime", "sora"};
  return std::none_of(kOther.begin(), kOther.end(),
                      [&](std::string_view mark) { return id.find(mark) != id.npos; });
}

std::string set_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// One place being asked.
struct Question {
  Place place;
  Entry entry;
  std::unique_ptr<RemoteExpert> expert;
  std::string body;
  bool settled = false;
};

std::unique_ptr<Question> start_question(asio::io_context& io, NetThread& thread,
                                         const Place& place, int wait_ms) {
  auto question = std::make_unique<Question>();
  question->place = place;
  ExpertOptions options;
  options.name = place.url;
  options.url = place.url;
  options.key_env = place.key_env;
  options.timeouts = {wait_ms, wait_ms, wait_ms, wait_ms};
  const auto roster = make_roster({options}, nullptr);
  question->entry = roster->entries[0];
  question->expert = std::make_unique<RemoteExpert>(thread, question->entry);
  asio::co_spawn(io, question->expert->list_models(),
                 [&asked = *question](std::exception_ptr, std::string listed) {
                   asked.body = std::move(listed);
                   asked.settled = true;
                 });
  return question;
}

ExpertOptions options_of(const Question& question, const ListedModel& model) {
  ExpertOptions options;
  options.name = model.id;
  options.model = model.id;
  options.url = question.place.url;
  options.key_env = question.place.key_env;
  options.context_tokens = model.context_tokens;
  return options;
}

}  // namespace

std::vector<Place> usual_places() {
  std::vector<Place> places;
  const std::string url = set_variable("OPENAI_BASE_URL");
  const std::string key_env = set_variable("OPENAI_API_KEY").empty() ? "" : "OPENAI_API_KEY";
  if (!url.empty()) {
    places.push_back({url, key_env});
  } else if (!key_env.empty()) {
    places.push_back({"https://api.openai.com/v1", key_env});
  }
  for (const char* port : {"11434", "8080", "8081", "8000"}) {
    places.push_back({std::string("http://127.0.0.1:") + port + "/v1", ""});
  }
  return places;
}

std::vector<ExpertOptions> discover(const std::vector<Place>& places, int wait_ms) {
  asio::io_context io(1);
  std::vector<ExpertOptions> found;
  std::unordered_set<std::string> names;
  std::vector<std::unique_ptr<Question>> questions;
  PoolOptions limits;
  limits.sweep_ms = 20;
  NetThread thread(io, limits);
  for (const Place& place : places) {
    questions.push_back(start_question(io, thread, place, wait_ms));
  }
  // Each keeps to its wait by itself. Who left earlier would leave a coroutine behind that uses its
  // expert.
  const auto is_settled = [](const auto& question) { return question->settled; };
  while (!std::all_of(questions.begin(), questions.end(), is_settled)) io.run_one();
  for (const auto& question : questions) {
    for (const ListedModel& model : read_models(thread.json, question->body)) {
      ExpertOptions options = options_of(*question, model);
      const std::string& origin = question->entry.target->origin;
      if (names.contains(options.name)) options.name += "@" + origin.substr(origin.find("//") + 2);
      if (names.insert(options.name).second) found.push_back(std::move(options));
    }
  }
  return found;
}

std::vector<ListedModel> read_models(od::parser& parser, std::string& body) {
  std::vector<ListedModel> models;
  body.reserve(body.size() + kJsonPadding);
  const simdjson::padded_string_view padded(body, body.size() + kJsonPadding);
  od::document document;
  od::array data;
  if (parser.iterate(padded).get(document) || document["data"].get_array().get(data)) return {};
  for (auto element : data) {
    ListedModel model;
    od::object object;
    std::string_view id;
    if (element.get_object().get(object) || object["id"].get_string().get(id)) return {};
    model.id = id;
    std::int64_t context = 0;
    if (!object["max_model_len"].get_int64().get(context)) model.context_tokens = context;
    if (!id.empty() && is_for_chat(id)) models.push_back(std::move(model));
    if (models.size() == kModelsPerPlaceMax) break;
  }
  return models;
}

}  // namespace experts
