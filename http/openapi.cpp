// The interface as an OpenAPI 3.1 document, made of the routes' tables: a route cannot be missing.
#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/routes.h"

namespace http {

namespace {

using Json = nlohmann::json;

std::string_view verb_of(Method method) {
  switch (method) {
    case Method::get:
      return "get";
    case Method::put:
      return "put";
    case Method::patch:
      return "patch";
    case Method::delete_:
      return "delete";
    default:
      return "post";
  }
}

Json text_type() {
  return {{"type", "string"}};
}

Json ref(const std::string& schema) {
  return {{"$ref", "#/components/schemas/" + schema}};
}

/// The type of every key, by its default. A null default is a key that may hold anything.
Json schema_of(const Json& shape) {
  if (shape.is_object()) {
    Json properties = Json::object();
    for (const auto& [key, value] : shape.items()) properties[key] = schema_of(value);
    return {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  }
  if (shape.is_array())
    return {{"type", "array"}, {"items", shape.empty() ? Json::object() : schema_of(shape[0])}};
  Json schema = Json::object();
  if (shape.is_string()) schema = text_type();
  if (shape.is_boolean()) schema["type"] = "boolean";
  if (shape.is_number()) schema["type"] = shape.is_number_integer() ? "integer" : "number";
  if (!shape.is_null() && shape != "") schema["default"] = shape;
  return schema;
}

Json parameter(const std::string& name, const char* in, const char* what, bool required = false) {
  return {{"name", name},
          {"in", in},
          {"required", required},
          {"description", what},
          {"schema", text_type()}};
}

/// `/admin/experts/{name...}/enable` to `/admin/experts/{name}/enable`; the name goes to
/// `variable`.
std::string plain_path(std::string_view pattern, std::string& variable) {
  std::string path(pattern);
  const auto open = path.find('{');
  if (open == std::string::npos) return path;
  const auto close = path.find('}');
  variable = path.substr(open + 1, close - open - 1);
  if (variable.ends_with("...")) variable.resize(variable.size() - 3);
  return path.substr(0, open + 1) + variable + path.substr(close);
}

/// What a route takes that is no resource: every key of its body with its default. Who reads one
/// lists its keys in the sentence about an unknown one; `admin_test.py` holds the two together.
struct Order {
  std::string_view pattern, schema;
  Json shape;
};

const std::vector<Order>& orders() {
  const Json names = Json::array({""});
  static const std::vector<Order> all = {
      {"/admin/experts/{name...}/probe",
       "probe",
       {{"questions", names},
        {"outcomes", names},
        {"skills", names},
        {"per_skill", 20},
        {"calls", 0},
        {"seed", 0},
        {"tokens", 1024},
        {"concurrency", 4},
        {"max_cost_usd", 0.0},
        {"promote", false}}},
      {"/admin/policies/train",
       "train",
       {{"outcomes", names},
        {"experts", names},
        {"share", 0.8},
        {"seed", 0},
        {"limit", 0},
        {"encoder", ""},
        {"promote", false}}},
      {"/admin/policies/learn", "learn", {{"outcomes", names}, {"promote", false}}},
      {"/eval/runs",
       "eval_run",
       {{"outcomes", names},
        {"policy", "running"},
        {"experts", names},
        {"exclude_domain", ""},
        {"strong", ""},
        {"weak", ""},
        {"share", 0.0},
        {"part", "all"},
        {"seed", 0},
        {"quality", 1.0},
        {"k", 1},
        {"aggregate", false},
        {"baselines", false},
        {"allow_overlap", false},
        {"gate", ""}}},
      {"/admin/keys",
       "key",
       {{"role", "client"},
        {"name", ""},
        {"models", names},
        {"collections", names},
        {"requests_per_minute", 0},
        {"tokens_per_minute", 0},
        {"usd_per_day", 0.0},
        {"usd_per_month", 0.0},
        {"expires_in_s", 0}}}};
  return all;
}

/// The schema of a route's body; empty: none.
std::string schema_of(const Endpoint& endpoint) {
  if (endpoint.pattern == "/v1/embeddings") return "embeddings";
  for (const auto& order : orders())
    if (endpoint.method == Method::post && endpoint.pattern == order.pattern)
      return std::string(order.schema);
  const bool takes = endpoint.method == Method::put || endpoint.method == Method::patch;
  if (!takes || endpoint.takes == Body::bytes) return "";
  const auto rest = endpoint.pattern.substr(std::string_view("/admin/").size());
  return std::string(rest.substr(0, rest.find('/')));
}

/// Whether a route makes a version of the configuration.
bool is_edit(const Endpoint& endpoint) {
  if (endpoint.method == Method::get) return false;
  const auto& pattern = endpoint.pattern;
  if (pattern.ends_with("/check") || pattern.ends_with("/probe")) return false;
  if (pattern.ends_with("/promote") || pattern.ends_with("/release")) return true;
  for (const char* kind : {"experts", "pools", "skills", "versions"})
    if (pattern.starts_with(std::string("/admin/") + kind + "/")) return true;
  return false;
}

Json parameters_of(const Endpoint& endpoint, const std::string& variable) {
  Json list = Json::array();
  const auto add = [&](const char* name, const char* what) {
    list.push_back(parameter(name, "query", what));
  };
  if (!variable.empty()) list.push_back(parameter(variable, "path", "percent-encoded", true));
  if (is_edit(endpoint)) {
    add("validate", "1: say what would happen, change nothing");
    add("simulate", "1: replay recent queries under it, change nothing");
    add("comment", "kept with the version");
    add("force", "1: even if that leaves nobody to answer");
    if (endpoint.method != Method::post)
      list.push_back(parameter("If-Match", "header", "the ETag that was read, or *"));
  }
  if (endpoint.pattern.starts_with("/admin/keys/") && endpoint.method == Method::delete_)
    add("force", "1: even if it is the last key of an administrator");
  if (endpoint.pattern.ends_with("/probe"))
    add("dry_run", "1: say how many calls it takes and what they cost, ask nobody");
  if (endpoint.pattern == "/admin/knowledge/{name}" && endpoint.method != Method::get)
    add("source", "of the document");
  if (endpoint.pattern == "/admin/knowledge/{name}" && endpoint.method == Method::delete_)
    add("vectors", "only: forget the vectors, keep the documents");
  if (endpoint.pattern == "/admin/knowledge/{name}" && endpoint.method == Method::put)
    add("format", "text, markdown or jsonl");
  return list;
}

Json body_of(const Endpoint& endpoint) {
  const auto name = schema_of(endpoint);
  const Json schema = name.empty() ? Json::object() : ref(name);
  Json content = Json::object();
  if (endpoint.takes == Body::bytes) {
    content["application/octet-stream"] = Json::object();
  } else {
    content["application/json"] = {{"schema", schema}};
  }
  if (endpoint.takes == Body::patch) content["application/merge-patch+json"] = Json::object();
  return {{"content", std::move(content)}};
}

Json operation_of(const Endpoint& endpoint, const std::string& variable) {
  const Json failure = {{"description", "what went wrong"},
                        {"content", {{"application/json", {{"schema", ref("error")}}}}}};
  Json operation = {{"summary", endpoint.summary},
                    {"parameters", parameters_of(endpoint, variable)},
                    {"responses", {{"2XX", {{"description", "done"}}}, {"default", failure}}}};
  const char* access = endpoint.access == Access::open     ? "open"
                       : endpoint.access == Access::client ? "client"
                                                           : "admin";
  operation["x-skillyard-access"] = access;
  if (endpoint.access != Access::open)
    operation["security"] = Json::array({{{"key", Json::array()}}});
  if (endpoint.takes != Body::none) operation["requestBody"] = body_of(endpoint);
  return operation;
}

/// POST /v1/embeddings, as http/openai_embeddings.cpp reads it.
Json embeddings_schema() {
  const Json whole = {{"type", "integer"}, {"minimum", 0}};
  const Json tokens = {{"type", "array"}, {"items", whole}, {"minItems", 1}};
  const auto several = [](const Json& of) {
    return Json{{"type", "array"}, {"items", of}, {"minItems", 1}, {"maxItems", 2048}};
  };
  const Json input = {
      {"oneOf", Json::array({text_type(), several(text_type()), tokens, several(tokens)})},
      {"description", "token ids: of the vocabulary of the expert that `model` names"}};
  const Json encoding = {
      {"type", "string"}, {"enum", Json::array({"float", "base64"})}, {"default", "float"}};
  const Json fields = {{"model", text_type()},
                       {"input", input},
                       {"encoding_format", encoding},
                       {"dimensions", {{"type", "integer"}, {"minimum", 1}}},
                       {"user", text_type()}};
  return {
      {"type", "object"}, {"properties", fields}, {"required", Json::array({"model", "input"})}};
}

Json error_schema() {
  const Json maybe_text = {{"type", Json::array({"string", "null"})}};
  const Json fields = {{"message", text_type()},
                       {"type", text_type()},
                       {"param", maybe_text},
                       {"code", maybe_text},
                       {"faults", {{"type", "array"}, {"items", text_type()}}}};
  const Json error = {{"type", "object"}, {"properties", fields}};
  return {{"type", "object"}, {"properties", {{"error", error}}}};
}

}  // namespace

Json openapi_document(const Json& shapes) {
  Json paths = Json::object();
  for (const bool admin : {false, true}) {
    for (const Endpoint& endpoint : endpoints(admin)) {
      std::string variable;
      const std::string path = plain_path(endpoint.pattern, variable);
      paths[path][std::string(verb_of(endpoint.method))] = operation_of(endpoint, variable);
    }
  }
  Json schemas = {{"error", error_schema()}, {"embeddings", embeddings_schema()}};
  for (const auto& [kind, shape] : shapes.items()) schemas[kind] = schema_of(shape);
  for (const auto& order : orders()) schemas[std::string(order.schema)] = schema_of(order.shape);
  const Json key = {{"type", "http"}, {"scheme", "bearer"}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "Skillyard"}, {"version", "1"}}},
          {"paths", std::move(paths)},
          {"components", {{"schemas", schemas}, {"securitySchemes", {{"key", key}}}}}};
}

void show_openapi(Session& session) {
  reply_json(session, openapi_document(admin_doors(session).shapes()));
}

}  // namespace http
