// Field numbers, core: everything else: services, secrets, quotas, events .... What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kCoreObjectsFields = R"(#core.Binding
1 metadata =meta.ObjectMeta
2 target =core.ObjectReference
#core.ClientIPConfig
1 timeoutSeconds *i
#core.ConfigMap
1 metadata =meta.ObjectMeta
2 data %s
3 binaryData %y
4 immutable *b
#core.EndpointAddress
1 ip s
2 targetRef *=core.ObjectReference
3 hostname s
4 nodeName *s
#core.EndpointPort
1 name s
2 port i
3 protocol s
4 appProtocol *s
#core.EndpointSubset
1 addresses +=core.EndpointAddress
2 notReadyAddresses +=core.EndpointAddress
3 ports +=core.EndpointPort
#core.Endpoints
1 metadata =meta.ObjectMeta
2 subsets +=core.EndpointSubset
#core.Event
1 metadata =meta.ObjectMeta
2 involvedObject =core.ObjectReference
3 reason s
4 message s
5 source =core.EventSource
6 firstTimestamp @Time
7 lastTimestamp @Time
8 count i
9 type s
10 eventTime @MicroTime
11 series *=core.EventSeries
12 action s
13 related *=core.ObjectReference
14 reportingComponent s
15 reportingInstance s
#core.EventSeries
1 count i
2 lastObservedTime @MicroTime
#core.EventSource
1 component s
2 host s
#core.EvictionResponder
1 name s
2 priority *i
#core.LoadBalancerIngress
1 ip s
2 hostname s
3 ipMode *s
4 ports +=core.PortStatus
#core.LoadBalancerStatus
1 ingress +=core.LoadBalancerIngress
#core.LocalObjectReference
1 name s
#core.Namespace
1 metadata =meta.ObjectMeta
2 spec =core.NamespaceSpec
3 status =core.NamespaceStatus
#core.NamespaceCondition
1 type s
2 status s
4 lastTransitionTime @Time
5 reason s
6 message s
#core.NamespaceSpec
1 finalizers +s
#core.NamespaceStatus
1 phase s
2 conditions +=core.NamespaceCondition
#core.ObjectReference
1 kind s
2 namespace s
3 name s
4 uid s
5 apiVersion s
6 resourceVersion s
7 fieldPath s
#core.PortStatus
1 port i
2 protocol s
3 error *s
#core.ResourceQuota
1 metadata =meta.ObjectMeta
2 spec =core.ResourceQuotaSpec
3 status =core.ResourceQuotaStatus
#core.ResourceQuotaSpec
1 hard %@Quantity
2 scopes +s
3 scopeSelector *=core.ScopeSelector
#core.ResourceQuotaStatus
1 hard %@Quantity
2 used %@Quantity
#core.ScopeSelector
1 matchExpressions +=core.ScopedResourceSelectorRequirement
#core.ScopedResourceSelectorRequirement
1 scopeName s
2 operator s
3 values +s
#core.Secret
1 metadata =meta.ObjectMeta
2 data %y
3 type s
4 stringData %s
5 immutable *b
#core.SecretReference
1 name s
2 namespace s
#core.Service
1 metadata =meta.ObjectMeta
2 spec =core.ServiceSpec
3 status =core.ServiceStatus
#core.ServiceAccount
1 metadata =meta.ObjectMeta
2 secrets +=core.ObjectReference
3 imagePullSecrets +=core.LocalObjectReference
4 automountServiceAccountToken *b
#core.ServicePort
1 name s
2 protocol s
3 port i
4 targetPort @IntOrString
5 nodePort i
6 appProtocol *s
#core.ServiceSpec
1 ports +=core.ServicePort
2 selector %s
3 clusterIP s
4 type s
5 externalIPs +s
7 sessionAffinity s
8 loadBalancerIP s
9 loadBalancerSourceRanges +s
10 externalName s
11 externalTrafficPolicy s
12 healthCheckNodePort i
13 publishNotReadyAddresses b
14 sessionAffinityConfig *=core.SessionAffinityConfig
17 ipFamilyPolicy *s
18 clusterIPs +s
19 ipFamilies +s
20 allocateLoadBalancerNodePorts *b
21 loadBalancerClass *s
22 internalTrafficPolicy *s
23 trafficDistribution *s
#core.ServiceStatus
1 loadBalancer =core.LoadBalancerStatus
2 conditions +=meta.Condition
#core.SessionAffinityConfig
1 clientIP *=core.ClientIPConfig
#core.TypedLocalObjectReference
1 apiGroup *s
2 kind s
3 name s
#core.TypedObjectReference
1 apiGroup *s
2 kind s
3 name s
4 namespace *s
)";

}  // namespace nodevirt::apiserver::wire
