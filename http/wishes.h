// What a client wants of a job, read value by value; every fault of it is told at once.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "http/admin_doors.h"
#include "router/learn/jobs.h"

namespace http {

class Session;

/// A plain file name: no folder, nothing hidden.
bool is_file_name(const std::string& name);

/// Each reads `value` into `into`, or adds a sentence to `faults` and leaves it.
class WishReader {
 public:
  explicit WishReader(const AdminDoors& doors) : doors_(doors) {}

  std::vector<std::string> faults;

  void read_names(const std::string& name, const nlohmann::json& value,
                  std::vector<std::string>& into);
  void read_text(const std::string& name, const nlohmann::json& value, std::string& into);
  void read_flag(const std::string& name, const nlohmann::json& value, bool& into);
  void read_number(const std::string& name, const nlohmann::json& value, double low, double high,
                   double& into);
  /// Names of uploaded outcome files become their paths.
  void read_files(const std::string& name, const nlohmann::json& value,
                  std::vector<std::string>& into);

  template <class Integer>
  void read_integer(const std::string& name, const nlohmann::json& value, std::int64_t low,
                    std::int64_t high, Integer& into) {
    if (value.is_number_integer() && value >= low && value <= high)
      into = value.get<Integer>();
    else
      faults.push_back(name + ": must be an integer from " + std::to_string(low) + " to " +
                       std::to_string(high));
  }

 protected:
  const AdminDoors& doors_;
};

/// The request's JSON object, or nothing after the reply says what is wrong with it.
bool read_wish(Session& session, nlohmann::json& into);

/// Replies with every fault. False: there is none.
bool refuse_wish(Session& session, const std::vector<std::string>& faults);

/// Writes an outcome file as if it had been uploaded; whole or not at all. Throws
/// std::runtime_error when the disk refuses.
void keep_outcomes(const AdminDoors& doors, const std::string& name, std::string_view bytes);

/// The kind of a job is the head of its id: `eval`, `train`, `learn`, `probe`.
std::string job_id(Session& session, const char* kind);

using JobWork = std::function<router::JobResult(const router::JobProgress&)>;

/// Queues it, and replies 202 with the job or 429.
void start_job(Session& session, const std::string& id, const nlohmann::json& request,
               JobWork work);

/// Those whose id begins with `kind`; empty: all.
void reply_jobs(Session& session, const std::string& kind);

}  // namespace http
