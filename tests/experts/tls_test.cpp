// TLS is verified: a server whose certificate our CA signed is asked, one with another name or
// another CA is not. The CA and the server are the openssl command's.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

namespace fs = std::filesystem;

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "experts-tls-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    make_ca("ca");
    make_ca("other");
    sign("good", "IP:127.0.0.1");
    sign("wrong", "DNS:elsewhere.example");
  }

  void TearDown() override { fs::remove_all(folder_); }

  void run(const std::string& command) {
    const std::string quiet = "cd " + folder_.string() + " && " + command + " >>log 2>&1";
    ASSERT_EQ(std::system(quiet.c_str()), 0) << command;
  }

  void make_ca(const std::string& name) {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
        name + " -keyout " + name + ".key -out " + name + ".pem");
  }

  void sign(const std::string& name, const std::string& subject) {
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout " +
        name + ".key -out " + name + ".csr");
    std::ofstream(folder_ / (name + ".ext")) << "subjectAltName=" << subject << "\n";
    run("openssl x509 -req -in " + name +
        ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile " + name + ".ext -out " +
        name + ".pem");
  }

  fs::path folder_;
};

/// `openssl s_server` with one certificate: what is written to it goes to whoever connects.
class TlsServer {
 public:
  TlsServer(const fs::path& folder, const std::string& name, unsigned short port) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[0], 0);
      const int log = open((folder / "log").c_str(), O_WRONLY | O_APPEND);
      dup2(log, 1);
      dup2(log, 2);
      ::close(ends[1]);
      const std::string certificate = (folder / (name + ".pem")).string();
      const std::string key = (folder / (name + ".key")).string();
      const std::string address = "127.0.0.1:" + std::to_string(port);
      execlp("openssl", "openssl", "s_server", "-quiet", "-accept", address.c_str(), "-cert",
             certificate.c_str(), "-key", key.c_str(), nullptr);
      _exit(127);
    }
    ::close(ends[0]);
    input_ = ends[1];
  }

  ~TlsServer() {
    ::close(input_);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  void say(const std::string& text) {
    EXPECT_EQ(write(input_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

 private:
  pid_t pid_ = 0;
  int input_ = -1;
};

/// A port that was free a moment ago.
unsigned short free_port(boost::asio::io_context& io) {
  using tcp = boost::asio::ip::tcp;
  const tcp::acceptor acceptor(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  return acceptor.local_endpoint().port();
}

bool wait_for_server(boost::asio::io_context& io, unsigned short port) {
  using tcp = boost::asio::ip::tcp;
  for (int i = 0; i < 200; ++i) {
    tcp::socket socket(io);
    boost::system::error_code ec;
    socket.connect({boost::asio::ip::address_v4::loopback(), port}, ec);
    if (!ec) return true;
    usleep(20'000);
  }
  return false;
}

TEST_F(Tls, IsVerified) {
  struct Row {
    const char* certificate;
    const char* ca;
    Outcome outcome;
  };

  for (const Row& row : {Row{"good", "ca", Outcome::ok}, Row{"wrong", "ca", Outcome::unreachable},
                         Row{"good", "other", Outcome::unreachable}}) {
    Rig rig;
    const unsigned short port = free_port(rig.io);
    TlsServer server(folder_, row.certificate, port);
    ASSERT_TRUE(wait_for_server(rig.io, port));
    usleep(50'000);  // the server notices that we were only looking
    rig.options.url = "https://127.0.0.1:" + std::to_string(port) + "/v1";
    rig.options.ca_file = (folder_ / (std::string(row.ca) + ".pem")).string();
    rig.options.timeouts = {2000, 2000, 2000, 4000};
    server.say(with_length(completion()));
    const Reply reply = rig.ask();
    EXPECT_EQ(name_of(reply.outcome), name_of(row.outcome))
        << row.certificate << " " << row.ca << ": " << reply.error;
    EXPECT_EQ(reply.wire.empty(), row.outcome != Outcome::ok);
  }
}

}  // namespace
}  // namespace experts::testing
