// virt-handler's paths: which are served, and what each means.
#include <catch2/catch.hpp>

#include "virt-handler/streams/route.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

TEST_CASE("paths") {
  const std::string base = "/v1/namespaces/ns1/virtualmachineinstances/vm1/";
  struct Case { std::string method, rest; Action action; std::uint16_t port; bool udp; };
  for (const Case& c : {Case{"GET", "console", Action::Console, 0, false}, Case{"GET", "vnc", Action::Vnc, 0, false},
                        Case{"GET", "vnc/screenshot", Action::VncScreenshot, 0, false}, Case{"PUT", "pause", Action::Pause, 0, false},
                        Case{"PUT", "softreboot", Action::SoftReboot, 0, false}, Case{"GET", "guestosinfo", Action::GuestOsInfo, 0, false},
                        Case{"GET", "portforward/22", Action::PortForward, 22, false}, Case{"GET", "portforward/53/udp", Action::PortForward, 53, true}}) {
    DYNAMIC_SECTION(c.method << " " << c.rest) {
      auto route = parse_route(c.method, base + c.rest);
      REQUIRE(route.ok());
      CHECK(static_cast<int>(route->action) == static_cast<int>(c.action));
      CHECK(route->key() == "ns1/vm1");
      CHECK(route->port == c.port);
      CHECK(route->udp == c.udp);
    }
  }
  struct Wrong { std::string method, path; Code code; };
  for (const Wrong& c : {Wrong{"GET", "/", Code::NotFound}, Wrong{"GET", base + "nothing", Code::NotFound}, Wrong{"POST", base + "console", Code::Unimplemented},
                         Wrong{"GET", base + "pause", Code::Unimplemented}, Wrong{"GET", base + "portforward/0", Code::InvalidArgument},
                         Wrong{"GET", base + "portforward/65536", Code::InvalidArgument}, Wrong{"GET", base + "portforward/22/sctp", Code::InvalidArgument},
                         Wrong{"GET", "/v1/namespaces/../virtualmachineinstances/vm1/x/console", Code::NotFound},
                         Wrong{"GET", "/v1/namespaces/NS/virtualmachineinstances/vm1/console", Code::NotFound}, Wrong{"GET", std::string(4000, '/'), Code::NotFound}}) {
    DYNAMIC_SECTION("refused: " << c.method << " " << c.path.substr(0, 60)) {
      auto route = parse_route(c.method, c.path);
      REQUIRE_FALSE(route.ok());
      CHECK(static_cast<int>(route.error().code) == static_cast<int>(c.code));
    }
  }
}
