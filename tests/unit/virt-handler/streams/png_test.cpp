// Screenshots: PPM in, PNG out; hostile PPM is refused.
#include <catch2/catch.hpp>

#include "virt-handler/streams/png.hpp"

using namespace nodevirt::virt_handler;

TEST_CASE("a picture of two pixels") {
  auto png = png_of_ppm(std::string("P6\n# comment\n2 1\n255\n\xff\x00\x00\x00\x00\xff", 30));
  REQUIRE(png.ok());
  CHECK(png->substr(0, 8) == "\x89PNG\r\n\x1a\n");
  // Width, height, depth, colour, and the check sum that libpng computes for them.
  CHECK(png->substr(12, 21) == std::string("IHDR\0\0\0\2\0\0\0\1\x08\x02\0\0\0\x7b\x40\xe8\xdd", 21));
  CHECK(png->find("IEND") != std::string::npos);
}

TEST_CASE("what is no picture is refused") {
  using namespace std::string_literals;
  for (const std::string& wrong : {""s, "P6"s, "P5\n1 1\n255\n\0"s, "P6\n1 1\n255\n\0\0"s, "P6\n0 5\n255\n"s, "P6\n99999 99999\n255\n"s, "P6\n1 1\n65535\n\0\0\0\0\0\0"s})
    CHECK_FALSE(png_of_ppm(wrong).ok());
}
