// The API server with its controllers and nothing else, for trying kubectl against it.
#include "standalone/apiserver/app.hpp"
#include "standalone/controllers/controllers.hpp"

int main(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  return nodevirt::apiserver::run(std::move(args), {}, {nodevirt::controllers::run});
}
