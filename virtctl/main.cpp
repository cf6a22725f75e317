#include "virtctl/app.hpp"

int main(int argc, char** argv) { return nodevirt::virtctl::run({argv + 1, argv + argc}); }
