#include "virt-launcher/app.hpp"

int main(int argc, char** argv) { return nodevirt::virt_launcher::run({argv + 1, argv + argc}); }
