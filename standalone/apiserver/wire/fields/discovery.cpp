// Field numbers, discovery.k8s.io. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kDiscoveryFields = R"(#disc.Endpoint
1 addresses +s
2 conditions =disc.EndpointConditions
3 hostname *s
4 targetRef *=core.ObjectReference
5 deprecatedTopology %s
6 nodeName *s
7 zone *s
8 hints *=disc.EndpointHints
#disc.EndpointConditions
1 ready *b
2 serving *b
3 terminating *b
#disc.EndpointHints
1 forZones +=disc.ForZone
2 forNodes +=disc.ForNode
#disc.EndpointPort
1 name *s
2 protocol *s
3 port *i
4 appProtocol *s
#disc.EndpointSlice
1 metadata =meta.ObjectMeta
2 endpoints +=disc.Endpoint
3 ports +=disc.EndpointPort
4 addressType s
#disc.ForNode
1 name s
#disc.ForZone
1 name s
)";

}  // namespace nodevirt::apiserver::wire
