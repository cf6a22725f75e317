#include "api/quantity.hpp"

#include <catch2/catch.hpp>

using nodevirt::api::Quantity;

TEST_CASE("quantities read as Kubernetes reads them") {
  struct Case { const char* name; const char* in; std::int64_t value, milli; const char* canonical; };
  for (auto& c : std::vector<Case>{
           {"plain", "5", 5, 5000, "5"},
           {"decimal suffix", "64M", 64000000, 64000000000, "64M"},
           {"binary suffix", "64Mi", 67108864, 67108864000, "67108864"},
           {"fraction of binary", "1.5Gi", 1610612736, 1610612736000, "1610612736"},
           {"milli rounds up", "100m", 1, 100, "100m"},
           {"exponent", "1e3", 1000, 1000000, "1k"},
           {"negative exponent", "5e-3", 1, 5, "5m"},
           {"nano", "1n", 1, 1, "1n"},
           {"negative", "-2k", -2000, -2000000, "-2k"},
           {"zero", "0", 0, 0, "0"},
           {"leading point", ".5", 1, 500, "500m"},
           {"exa", "1E", 1000000000000000000, 0x7fffffffffffffff, "1E"},
       }) {
    DYNAMIC_SECTION(c.name) {
      auto q = Quantity::parse(c.in);
      REQUIRE(q.ok());
      CHECK(q->value() == c.value);
      CHECK(q->milli_value() == c.milli);
      CHECK(q->to_string() == c.canonical);
    }
  }
  CHECK(Quantity::parse("64Mi")->to_string(true) == "64Mi");
}

TEST_CASE("magnitudes beyond 2^63 are capped, not wrapped") {
  for (const char* text : {"9e99", "99999999999999999999E", "123456789012345678901234567890"}) {
    DYNAMIC_SECTION(text) {
      auto q = Quantity::parse(text);
      REQUIRE(q.ok());
      CHECK(q->value() == 0x7fffffffffffffff);
    }
  }
}

TEST_CASE("what is no quantity is refused with an example of one") {
  for (const char* text : {"", "M", "64MB", "1.2.3", "1e", "--1", "1 Gi", "0x10", "1Ei1", "e3"}) {
    DYNAMIC_SECTION(text) {
      auto q = Quantity::parse(text);
      REQUIRE_FALSE(q.ok());
      CHECK(q.error().message.find("64M") != std::string::npos);
    }
  }
}
