#include "virt-handler/app.hpp"

int main(int argc, char** argv) { return nodevirt::virt_handler::run({argv + 1, argv + argc}); }
