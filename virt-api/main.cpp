#include "virt-api/app.hpp"

int main(int argc, char** argv) {
  return nodevirt::virt_api::run(std::vector<std::string>(argv + 1, argv + argc));
}
