#include "config/house/encoder_door.h"

#include <filesystem>
#include <memory>
#include <stdexcept>

#include "config/config.h"
#include "experts/roster.h"
#include "router/encoder.h"
#include "router/vector_maker.h"

namespace house {

namespace fs = std::filesystem;

router::EncoderDoor make_encoder(const router::EncoderArgs& args) {
  const std::string path = args.file.empty()
                               ? (fs::path(config::default_data_dir()) / "vectors.db").string()
                               : args.file;
  if (args.encoder.empty()) return {"", router::make_vectors(path, std::nullopt)};
  auto expert = config::parse_expert(args.encoder);
  if (expert.kind != experts::Kind::remote)
    throw std::runtime_error("--encoder: " + args.encoder +
                             " is a file; vectors are made by servers with an embeddings endpoint");
  expert.capabilities.embeddings = true;
  if (const auto folder = fs::path(path).parent_path(); !folder.empty())
    fs::create_directories(folder);
  const auto board =
      std::make_shared<experts::RosterBoard>(experts::make_roster({expert}, nullptr));
  const router::InterviewDoors doors = {*board, {}, {}};
  const router::VectorsOf ask = router::make_vectors(path, doors);
  const std::string name = router::encoder_name(expert);
  const auto ask_own = [board, ask, name](const std::string& encoder,
                                          const std::vector<std::string>& texts,
                                          const std::function<void(double)>& progress) {
    if (encoder != name)
      throw std::runtime_error("the policy needs the vectors of `" + encoder +
                               "`, and --encoder makes those of `" + name +
                               "`: vectors of two models cannot be compared");
    return ask(encoder, texts, progress);
  };
  return {name, ask_own};
}

}  // namespace house
