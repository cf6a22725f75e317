// Field numbers, groups of a few kinds: apps, autoscaling, coordination, events, policy, scheduling, storage. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kOthersFields = R"(#apps.ControllerRevision
1 metadata =meta.ObjectMeta
2 data @Raw
3 revision i
#auto.Scale
1 metadata =meta.ObjectMeta
2 spec =auto.ScaleSpec
3 status =auto.ScaleStatus
#auto.ScaleSpec
1 replicas i
#auto.ScaleStatus
1 replicas i
2 selector s
#coord.Lease
1 metadata =meta.ObjectMeta
2 spec =coord.LeaseSpec
#coord.LeaseSpec
1 holderIdentity *s
2 leaseDurationSeconds *i
3 acquireTime *@MicroTime
4 renewTime *@MicroTime
5 leaseTransitions *i
6 strategy *s
7 preferredHolder *s
#events.Event
1 metadata =meta.ObjectMeta
2 eventTime @MicroTime
3 series *=events.EventSeries
4 reportingController s
5 reportingInstance s
6 action s
7 reason s
8 regarding =core.ObjectReference
9 related *=core.ObjectReference
10 note s
11 type s
12 deprecatedSource =core.EventSource
13 deprecatedFirstTimestamp @Time
14 deprecatedLastTimestamp @Time
15 deprecatedCount i
#events.EventSeries
1 count i
2 lastObservedTime @MicroTime
#policy.Eviction
1 metadata =meta.ObjectMeta
2 deleteOptions *=meta.DeleteOptions
#policy.PodDisruptionBudget
1 metadata =meta.ObjectMeta
2 spec =policy.PodDisruptionBudgetSpec
3 status =policy.PodDisruptionBudgetStatus
#policy.PodDisruptionBudgetSpec
1 minAvailable *@IntOrString
2 selector *=meta.LabelSelector
3 maxUnavailable *@IntOrString
4 unhealthyPodEvictionPolicy *s
#policy.PodDisruptionBudgetStatus
1 observedGeneration i
2 disruptedPods %@Time
3 disruptionsAllowed i
4 currentHealthy i
5 desiredHealthy i
6 expectedPods i
7 conditions +=meta.Condition
#sched.PriorityClass
1 metadata =meta.ObjectMeta
2 value i
3 globalDefault b
4 description s
5 preemptionPolicy *s
#storage.StorageClass
1 metadata =meta.ObjectMeta
2 provisioner s
3 parameters %s
4 reclaimPolicy *s
5 mountOptions +s
6 allowVolumeExpansion *b
7 volumeBindingMode *s
8 allowedTopologies +=core.TopologySelectorTerm
)";

}  // namespace nodevirt::apiserver::wire
