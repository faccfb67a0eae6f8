// The console: a page for administrators, its files built into the program (CMakeLists.txt,
// embed()). The files are no secret and open; what the page shows it asks of the documented
// endpoints, with the key that its user types in.
#include <array>
#include <string_view>

#include "http/admin.h"
#include "http/session.h"

#define SKILLYARD_FILE(symbol) \
  extern "C" const unsigned char http_console_##symbol##_begin[], http_console_##symbol##_end[]
SKILLYARD_FILE(index_html);
SKILLYARD_FILE(console_css);
SKILLYARD_FILE(page_js);
SKILLYARD_FILE(console_js);
SKILLYARD_FILE(pool_js);
SKILLYARD_FILE(decisions_js);
SKILLYARD_FILE(policy_js);
SKILLYARD_FILE(records_js);
#undef SKILLYARD_FILE

namespace http {

namespace {

constexpr std::string_view kStyle = "text/css; charset=utf-8";
constexpr std::string_view kScript = "text/javascript; charset=utf-8";

// Nothing from elsewhere, nothing inline, no frame around it, no form that leaves it.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
  std::string_view name;
  std::string_view type;
  const unsigned char* begin;
  const unsigned char* end;
};

const std::array kFiles = {
    File{"", "text/html; charset=utf-8", http_console_index_html_begin,
         http_console_index_html_end},
    File{"console.css", kStyle, http_console_console_css_begin, http_console_console_css_end},
    File{"page.js", kScript, http_console_page_js_begin, http_console_page_js_end},
    File{"console.js", kScript, http_console_console_js_begin, http_console_console_js_end},
    File{"pool.js", kScript, http_console_pool_js_begin, http_console_pool_js_end},
    File{"decisions.js", kScript, http_console_decisions_js_begin, http_console_decisions_js_end},
    File{"policy.js", kScript, http_console_policy_js_begin, http_console_policy_js_end},
    File{"records.js", kScript, http_console_records_js_begin, http_console_records_js_end}};

}  // namespace

void show_console(Session& session) {
  Response& response = session.response();
  for (const File& file : kFiles) {
    if (file.name != session.argument()) continue;
    response.content_type = file.type;
    response.body.assign(reinterpret_cast<const char*>(file.begin),
                         static_cast<std::size_t>(file.end - file.begin));
    response.add("content-security-policy", kPolicy);
    response.add("x-content-type-options", "nosniff");
    response.add("referrer-policy", "no-referrer");
    response.add("cache-control", "no-cache");
    return;
  }
  reply_problem(session, Fault::not_found, "the console has no such file; GET /console");
}

}  // namespace http
