// Field numbers, core: nodes. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kCoreNodesFields = R"(#core.ConfigMapNodeConfigSource
1 namespace s
2 name s
3 uid s
4 resourceVersion s
5 kubeletConfigKey s
#core.ContainerImage
1 names +s
2 sizeBytes i
#core.DaemonEndpoint
1 Port i
#core.Node
1 metadata =meta.ObjectMeta
2 spec =core.NodeSpec
3 status =core.NodeStatus
#core.NodeAddress
1 type s
2 address s
#core.NodeAffinity
1 requiredDuringSchedulingIgnoredDuringExecution *=core.NodeSelector
2 preferredDuringSchedulingIgnoredDuringExecution +=core.PreferredSchedulingTerm
#core.NodeAllocatableMappedResources
1 name s
2 quantity *@Quantity
#core.NodeAllocatableOverheadResources
1 name s
2 perPod *@Quantity
3 perContainer *@Quantity
#core.NodeAllocatableResourceClaimStatus
1 resourceClaimName s
2 containers +s
4 mapping +=core.NodeAllocatableMappedResources
5 overhead +=core.NodeAllocatableOverheadResources
#core.NodeCondition
1 type s
2 status s
3 lastHeartbeatTime @Time
4 lastTransitionTime @Time
5 reason s
6 message s
#core.NodeConfigSource
2 configMap *=core.ConfigMapNodeConfigSource
#core.NodeConfigStatus
1 assigned *=core.NodeConfigSource
2 active *=core.NodeConfigSource
3 lastKnownGood *=core.NodeConfigSource
4 error s
#core.NodeDaemonEndpoints
1 kubeletEndpoint =core.DaemonEndpoint
#core.NodeFeatures
1 supplementalGroupsPolicy *b
#core.NodePodPreemptionPolicy
1 disableResizePreemption +s
#core.NodeRuntimeHandler
1 name s
2 features *=core.NodeRuntimeHandlerFeatures
#core.NodeRuntimeHandlerFeatures
1 recursiveReadOnlyMounts *b
2 userNamespaces *b
#core.NodeSelector
1 nodeSelectorTerms +=core.NodeSelectorTerm
#core.NodeSelectorRequirement
1 key s
2 operator s
3 values +s
#core.NodeSelectorTerm
1 matchExpressions +=core.NodeSelectorRequirement
2 matchFields +=core.NodeSelectorRequirement
#core.NodeSpec
1 podCIDR s
2 externalID s
3 providerID s
4 unschedulable b
5 taints +=core.Taint
6 configSource *=core.NodeConfigSource
7 podCIDRs +s
8 podPreemptionPolicy *=core.NodePodPreemptionPolicy
#core.NodeStatus
1 capacity %@Quantity
2 allocatable %@Quantity
3 phase s
4 conditions +=core.NodeCondition
5 addresses +=core.NodeAddress
6 daemonEndpoints =core.NodeDaemonEndpoints
7 nodeInfo =core.NodeSystemInfo
8 images +=core.ContainerImage
9 volumesInUse +s
10 volumesAttached +=core.AttachedVolume
11 config *=core.NodeConfigStatus
12 runtimeHandlers +=core.NodeRuntimeHandler
13 features *=core.NodeFeatures
14 declaredFeatures +s
#core.NodeSwapStatus
1 capacity *i
#core.NodeSystemInfo
1 machineID s
2 systemUUID s
3 bootID s
4 kernelVersion s
5 osImage s
6 containerRuntimeVersion s
7 kubeletVersion s
8 kubeProxyVersion s
9 operatingSystem s
10 architecture s
11 swap *=core.NodeSwapStatus
#core.Taint
1 key s
2 value s
3 effect s
4 timeAdded *@Time
)";

}  // namespace nodevirt::apiserver::wire
