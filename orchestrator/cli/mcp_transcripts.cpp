#include "orchestrator/cli/mcp_transcripts.h"

#include <algorithm>

#include "engine/base/text_file.h"
#include "orchestrator/run/store.h"

namespace swarm::cli {
namespace {

constexpr const char* kRunPrefix = "swarm://runs/";
constexpr size_t kListedMax = 100;

// As run ids are made and may be given; above all no way out of the folder.
bool is_run_id(const std::string& id) {
  return !id.empty() && id[0] != '.' && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

Json Transcripts::definition() {
  return {{"uriTemplate", std::string(kRunPrefix) + "{id}"},
          {"name", "run"},
          {"description", "journal of a run: one JSON event per line"},
          {"mimeType", "application/jsonl"}};
}

std::string Transcripts::uri(const std::string& run) { return kRunPrefix + run; }

Json Transcripts::link(const std::string& run) {
  return {{"type", "resource_link"},
          {"uri", uri(run)},
          {"name", "run " + run},
          {"mimeType", "application/jsonl"},
          {"annotations", {{"audience", Json::array({"user"})}}}};
}

void Transcripts::add(const std::string& run) {
  runs_.push_front(run);
  if (runs_.size() > kListedMax) runs_.pop_back();
}

std::vector<Json> Transcripts::list() const {
  std::vector<Json> out;
  for (const std::string& run : runs_)
    out.push_back({{"uri", uri(run)}, {"name", "run " + run}, {"mimeType", "application/jsonl"}});
  return out;
}

std::vector<std::string> Transcripts::complete(const std::string& begin) const {
  std::vector<std::string> out;
  for (const std::string& run : runs_)
    if (run.starts_with(begin)) out.push_back(run);
  return out;
}

Result<Json> Transcripts::read(const std::string& uri) const {
  const std::string id = uri.substr(std::string(kRunPrefix).size());
  const Error none = invalid_input("there is no run \"" + id + "\" of this swarm");
  if (!is_run_id(id)) return none;
  const std::string directory = journal_dir_ + "/" + id;
  const auto stored = run::open_run(journal_dir_, directory);
  if (!stored || stored->summary.name != swarm_) return none;
  SWARM_TRY(const std::string text, read_text_file(directory + "/journal.jsonl"));
  return Json::array({Json{{"uri", uri}, {"mimeType", "application/jsonl"}, {"text", text}}});
}

}  // namespace swarm::cli
