// image import: puts an image where the nodes find it. On one machine that is nodevirt's image store,
// and nodevirt does it; a cluster's nodes pull from registries.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <CLI/CLI.hpp>

#include "pkg/base/process.hpp"
#include "virtctl/commands/commands.hpp"

namespace nodevirt::virtctl {

namespace {

bool local_server(const std::string& server) {
  return server.starts_with("https://127.0.0.1:") || server.starts_with("https://localhost:") ||
         server.starts_with("https://[::1]:");
}

// nodevirt leaves the kubeconfig in its data directory: whoever uses that file means that instance.
std::string data_dir_of(const std::string& kubeconfig) {
  std::string path = kubeconfig;
  if (const char* list = std::getenv("KUBECONFIG"); path.empty() && list) path = list;
  auto folder = std::filesystem::path(path).parent_path();
  std::error_code ec;
  return !folder.empty() && std::filesystem::exists(folder / "instance.json", ec) ? folder.string() : "";
}

Awaitable<Result<void>> import(std::vector<std::string> words, std::string data_dir, Session& session) {
  if (!local_server(session.endpoint.server))
    co_return Error(Code::FailedPrecondition,
                    fmt::format("the nodes of {} pull their images from a registry: push the image there and name it "
                                "in the manifest (image import serves a machine that runs nodevirt itself)",
                                session.endpoint.server));
  Command command;
  command.argv = {"nodevirt", "image", "import"};
  if (!data_dir.empty()) command.argv.insert(command.argv.end(), {"--data-dir", data_dir});
  for (auto& w : words) command.argv.push_back(w);
  command.timeout = std::chrono::minutes(60);
  Finished done;
  NV_CO_TRY(done, co_await async_run_command(command));
  std::fputs(done.out.c_str(), stdout);
  std::fputs(done.err.c_str(), stderr);
  if (done.exit_code != 0) co_return Error(Code::Internal, "nodevirt image import failed (see above)");
  co_return Result<void>{};
}

}  // namespace

void add_image(CLI::App& app, Globals& globals, int& exit_code) {
  CLI::App* sub = app.add_subcommand("image", "Images of virtual machines");
  sub->require_subcommand(1);
  auto words = std::make_shared<std::vector<std::string>>();
  auto data_dir = std::make_shared<std::string>();
  CLI::App* imp = sub->add_subcommand("import", "Give this machine an image: [NAME=]oci-archive:FILE, oci:FOLDER or a registry's name");
  imp->add_option("source", *words, "[NAME=]SOURCE")->required()->expected(1, 2);
  imp->add_option("--data-dir", *data_dir, "nodevirt's data directory; the one that the kubeconfig lies in when not given");
  imp->callback([&globals, &exit_code, words, data_dir] {
    std::string folder = data_dir->empty() ? data_dir_of(globals.kubeconfig) : *data_dir;
    auto body = [words, folder](Session& session) { return import(*words, folder, session); };
    exit_code = with_session(globals, body);
  });
}

}  // namespace nodevirt::virtctl
