#include "virt-controller/app.hpp"

int main(int argc, char** argv) {
  return nodevirt::virt_controller::run(std::vector<std::string>(argv + 1, argv + argc));
}
