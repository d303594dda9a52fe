// An MCP server over stdio that behaves badly on purpose. argv[1] = how it starts; the tools decide
// how single calls go. FIXTURE_LOG names a file to which every received line is appended.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "engine/base/json.h"

namespace {

using swarm::Json;

std::string mode;
std::vector<Json> held;       // calls of "reorder" that wait for their partner
Json notes = Json::array();   // what "note" was told
std::vector<Json> answers;    // what the client answered to our requests
Json asking;                  // the call of "ask" that waits for an answer
Json offered;                 // capabilities of the client

void write_raw(const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(1, text.data() + done, text.size() - done);
    if (count <= 0) std::exit(4);
    done += static_cast<size_t>(count);
  }
}

void send(const Json& message) {
  const std::string text = swarm::dump_json(message);
  if (mode == "split_utf8") {  // one byte per write
    for (const char c : text + "\n") write_raw(std::string(1, c));
  } else if (mode == "crlf") {
    write_raw("\xEF\xBB\xBF" + text + "\r\n");
  } else {
    write_raw(text + "\n");
  }
}

void reply(const Json& id, const Json& result) {
  send(Json{{"jsonrpc", "2.0"}, {"id", id}, {"result", result}});
}

void reply_error(const Json& id, int code, const std::string& text) {
  send(Json{{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", code}, {"message", text}}}});
}

Json text_result(const std::string& text) {
  return Json{{"content", Json::array({Json{{"type", "text"}, {"text", text}}})}};
}

Json tool(const std::string& name) {
  Json schema = Json::object();
  schema["type"] = "object";
  return Json{{"name", name}, {"description", "tool " + name}, {"inputSchema", schema}};
}

void note_pid(const std::string& kind, pid_t pid) {
  if (const char* log = std::getenv("FIXTURE_LOG")) std::ofstream(log, std::ios::app)
                                                        << kind << " " << pid << "\n";
}

// Stays in our process group, holds our pipes, and ends only by SIGKILL.
void fork_grandchild() {
  const pid_t pid = ::fork();
  if (pid != 0) return note_pid("grandchild", pid);
  ::signal(SIGTERM, SIG_IGN);
  while (true) ::pause();
}

// Leaves our process group and session, holds nothing of ours, ignores every polite signal.
void fork_daemon() {
  int ready[2];
  if (::pipe(ready) != 0) std::exit(4);
  if (::fork() == 0) {
    ::setsid();
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
    const pid_t pid = ::fork();        // a grandchild of a grandchild
    if (pid != 0) {
      note_pid("daemon", pid);
      ::_exit(0);
    }
    for (int fd = 0; fd < 64; ++fd) ::close(fd);
    while (true) ::pause();
  }
  ::close(ready[1]);
  char nothing = 0;
  [[maybe_unused]] const ssize_t read = ::read(ready[0], &nothing, 1);  // until it is on its own
  ::close(ready[0]);
}

// FIXTURE_VERSION names a file that says which version this is. Beyond 1.2 `echo` is described
// anew and `add` is gone.
std::string version_of_server() {
  std::string version = "1.2";
  if (const char* file = std::getenv("FIXTURE_VERSION")) std::ifstream(file) >> version;
  return version;
}

void initialize(const Json& id, const Json& params) {
  offered = params.value("capabilities", Json::object());
  if (mode == "silent") return;
  if (mode == "exit_on_initialize") {
    std::cerr << "fatal: no licence found" << std::endl;
    std::exit(3);
  }
  if (mode == "null_id") {
    reply_error(nullptr, -32700, "cannot parse that");
    return;
  }
  if (mode == "huge_line") write_raw(std::string(3 << 20, 'x') + "\n");
  if (mode == "huge_reply") {
    reply(id, Json{{"padding", std::string(3 << 20, 'x')}});
    return;
  }
  Json version = params.at("protocolVersion");
  if (mode == "wrong_version") version = "1999-01-01";
  if (mode == "old_version") version = "2024-11-05";
  Json capabilities = Json::object();
  if (mode != "no_tools") capabilities["tools"] = Json{{"listChanged", true}};
  if (mode == "legacy_tasks") capabilities["tasks"]["requests"]["tools"]["call"] = Json::object();
  const Json result{{"protocolVersion", version},
                    {"capabilities", capabilities},
                    {"serverInfo", {{"name", "fixture"}, {"version", version_of_server()}}},
                    {"instructions", "be kind"}};
  if (mode == "batch")
    return send(Json::array({Json{{"jsonrpc", "2.0"}, {"id", id}, {"result", result}}}));
  reply(id, result);
}

// What servers of the older generation do with a question they do not know.
void discover(const Json& id) {
  if (mode == "silent" || mode == "silent_discover") return;
  if (mode == "exit_on_discover") std::exit(5);
  reply_error(id, mode == "odd_discover" ? -32000 : -32601, "initialize first");
}

void list(const Json& id, const Json& params) {
  if (mode == "no_tools") std::exit(9);
  const std::string cursor = params.value("cursor", std::string("none"));
  Json tools = Json::array();
  Json result = Json::object();
  if (mode == "paginated") {  // an empty cursor is a cursor
    tools.push_back(tool("page_" + (cursor.empty() ? "empty" : cursor)));
    if (cursor == "none") result["nextCursor"] = "";
    if (cursor.empty()) result["nextCursor"] = "last";
  } else if (mode == "repeated_cursor") {
    result["nextCursor"] = "again";
  } else if (mode == "endless_pages") {
    result["nextCursor"] = cursor + "x";
  } else {
    for (const char* name : {"echo", "add", "fail", "hang", "die", "media", "reorder", "rpc_error",
                             "null_id", "answers", "environment", "late", "a.b", "a/b", "steps",
                             "announce", "note"})
      tools.push_back(tool(name));
    if (mode == "curious")
      for (const char* name : {"ask", "offered", "verbatim"}) tools.push_back(tool(name));
    if (mode == "legacy_tasks") {
      tools.push_back(tool("as_task"));
      tools.back()["execution"]["taskSupport"] = "required";
    }
    tools[0]["annotations"] = Json{{"readOnlyHint", true}};
    tools[1]["annotations"] = Json{{"idempotentHint", true}};
    tools.push_back(Json{{"name", "broken"}, {"inputSchema", "none"}});
    if (version_of_server() != "1.2") {
      tools[0]["description"] = "tool echo, improved";
      tools.erase(1);
    }
  }
  result["tools"] = tools;
  reply(id, result);
}

// 2025-11-25: a tool that is only called as a task.
void call_as_task(const Json& id, const Json& params) {
  if (!params.contains("task")) return reply_error(id, -32601, "only as a task");
  Json task{{"taskId", "t1"}, {"status", "working"}, {"ttl", params["task"]["ttl"]},
            {"pollInterval", 20}};
  reply(id, Json{{"task", task}});
}

void answer_task(const Json& id, const std::string& method) {
  static int asked = 0;
  Json task{{"taskId", "t1"}, {"status", "working"}, {"pollInterval", 20}};
  if (method == "tasks/get" && ++asked == 1) task["statusMessage"] = "half way";
  if (method == "tasks/get" && asked == 3) task["status"] = "completed";
  reply(id, method == "tasks/result" ? text_result("done as a task") : task);
}

// Reports progress `count` times, `ms` apart, then answers; ends early when something arrives.
void steps(const Json& id, const Json& params) {
  const Json arguments = params.value("arguments", Json::object());
  for (int step = 1; step <= arguments.value("count", 1); ++step) {
    pollfd in{.fd = 0, .events = POLLIN, .revents = 0};
    if (::poll(&in, 1, arguments.value("ms", 1)) > 0) return;
    send(Json{{"jsonrpc", "2.0"}, {"method", "notifications/progress"},
              {"params", {{"progressToken", params.at("_meta").at("progressToken")},
                          {"progress", step}}}});
  }
  reply(id, text_result("stepped"));
}

void call(const Json& id, const Json& params) {
  const auto name = params.at("name").get<std::string>();
  const Json arguments = params.value("arguments", Json::object());
  if (name == "as_task") return call_as_task(id, params);
  if (name == "echo") {
    send(Json{{"jsonrpc", "2.0"}, {"method", "notifications/progress"},
              {"params", {{"progressToken", params.at("_meta").at("progressToken")},
                          {"progress", 1}}}});
    reply(id, text_result(swarm::dump_json(arguments)));
  } else if (name == "add") {
    const int sum = arguments.value("a", 0) + arguments.value("b", 0);
    Json result = text_result("{\"unit\": \"none\", \"sum\": " + std::to_string(sum) + "}");
    result["structuredContent"] = Json{{"sum", sum}, {"unit", "none"}};
    reply(id, result);
  } else if (name == "fail") {
    Json result = text_result("no such item");
    result["isError"] = true;
    reply(id, result);
  } else if (name == "die") {
    std::cerr << "about to die" << std::endl;
    std::exit(7);
  } else if (name == "media") {
    reply(id, Json{{"content", Json::array({Json{{"type", "image"}, {"mimeType", "image/png"},
                                                 {"data", "QUJDRA=="}},
                                            Json{{"type", "text"}, {"text", "seen"}}})}});
  } else if (name == "reorder") {
    held.push_back(Json{{"id", id}, {"n", arguments.at("n")}});
    if (held.size() < 3) return;
    for (size_t i = held.size(); i-- > 0;)
      reply(held[i].at("id"), text_result(swarm::dump_json(held[i].at("n"))));
    held.clear();
  } else if (name == "rpc_error") {
    reply_error(id, -32602, "bad item");
  } else if (name == "null_id") {
    reply_error(nullptr, -32603, "lost the id");
  } else if (name == "answers") {
    reply(id, text_result(swarm::dump_json(Json(answers))));
  } else if (name == "environment") {
    std::string all;
    for (char** entry = environ; *entry; ++entry) all += std::string(*entry) + "\n";
    reply(id, text_result(all));
  } else if (name == "steps") {
    steps(id, params);
  } else if (name == "note") {       // keeps what it is told, and tells all of it
    notes.push_back(arguments.value("text", ""));
    reply(id, text_result(swarm::dump_json(notes)));
  } else if (name == "ask") {        // {"method", "params"}: asks it, the answer is the result
    asking = id;
    send(Json{{"jsonrpc", "2.0"}, {"id", "asked"}, {"method", arguments.at("method")},
              {"params", arguments.value("params", Json::object())}});
  } else if (name == "verbatim") {   // {"result"}: that is its result, whatever it is
    reply(id, arguments.at("result"));
  } else if (name == "offered") {
    reply(id, text_result(swarm::dump_json(offered)));
  } else if (name == "announce") {
    send(Json{{"jsonrpc", "2.0"}, {"method", "notifications/tools/list_changed"}});
    reply(id, text_result("announced"));
  } else if (name == "late") {  // answers an id that nobody waits for, then the right one
    reply(987654, text_result("stray"));
    reply(swarm::dump_json(id), text_result("id as text"));
  }  // "hang" never answers
}

void handle(const std::string& line) {
  if (const char* log = std::getenv("FIXTURE_LOG")) std::ofstream(log, std::ios::app)
                                                        << line << "\n";
  const Json message = swarm::parse_json(line).value();
  const std::string method = message.value("method", std::string());
  const Json id = message.value("id", Json());
  const Json params = message.value("params", Json::object());
  if (method == "initialize") initialize(id, params);
  if (method == "tools/list") list(id, params);
  if (method == "tools/call") call(id, params);
  if (method.empty()) answers.push_back(message);
  if (method.empty() && id == "asked") {
    const char* part = message.contains("result") ? "result" : "error";
    reply(asking, text_result(swarm::dump_json(message.at(part))));
  }
  if (method == "server/discover") discover(id);
  if (method.rfind("tasks/", 0) == 0) answer_task(id, method);
  if (method == "notifications/initialized" && mode == "asks") {
    send(Json{{"jsonrpc", "2.0"}, {"id", "r1"}, {"method", "roots/list"}});
    send(Json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "ping"}});
    send(Json{{"jsonrpc", "2.0"}, {"method", "notifications/tools/list_changed"}});
    send(Json{{"jsonrpc", "2.0"}, {"method", "notifications/unheard_of"}});
  }
}

}  // namespace

int main(int count, char** arguments) {
  mode = count > 1 ? arguments[1] : "normal";
  note_pid("server", ::getpid());
  if (const char* pids = std::getenv("FIXTURE_PIDS"))
    std::ofstream(pids, std::ios::app) << ::getpid() << "\n";
  if (mode == "ignore_term") ::signal(SIGTERM, SIG_IGN);
  if (mode == "grandchild") fork_grandchild();
  if (mode == "daemon" || mode == "stubborn") fork_daemon();
  if (mode == "stubborn") ::signal(SIGTERM, SIG_IGN);
  if (mode == "banners") write_raw("Welcome to the fixture!\n\n{not json}\n[1, 2]\n\"text\"\n");
  if (mode == "stderr_flood") std::cerr << std::string(2 << 20, '.') << "\nflooded" << std::endl;
  for (std::string line; std::getline(std::cin, line);) handle(line);
  if (mode == "ignore_term" || mode == "stubborn") while (true) ::pause();
  return 0;
}
