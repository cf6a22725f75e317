// Field numbers, core: pods and their containers. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kCorePodsFields = R"(#core.Affinity
1 nodeAffinity *=core.NodeAffinity
2 podAffinity *=core.PodAffinity
3 podAntiAffinity *=core.PodAntiAffinity
#core.AppArmorProfile
1 type s
2 localhostProfile *s
#core.Capabilities
1 add +s
2 drop +s
#core.ConfigMapEnvSource
1 ~ =core.LocalObjectReference
2 optional *b
#core.ConfigMapKeySelector
1 ~ =core.LocalObjectReference
2 key s
3 optional *b
#core.Container
1 name s
2 image s
3 command +s
4 args +s
5 workingDir s
6 ports +=core.ContainerPort
7 env +=core.EnvVar
8 resources =core.ResourceRequirements
9 volumeMounts +=core.VolumeMount
10 livenessProbe *=core.Probe
11 readinessProbe *=core.Probe
12 lifecycle *=core.Lifecycle
13 terminationMessagePath s
14 imagePullPolicy s
15 securityContext *=core.SecurityContext
16 stdin b
17 stdinOnce b
18 tty b
19 envFrom +=core.EnvFromSource
20 terminationMessagePolicy s
21 volumeDevices +=core.VolumeDevice
22 startupProbe *=core.Probe
23 resizePolicy +=core.ContainerResizePolicy
24 restartPolicy *s
25 restartPolicyRules +=core.ContainerRestartRule
#core.ContainerExtendedResourceRequest
1 containerName s
2 resourceName s
3 requestName s
#core.ContainerPort
1 name s
2 hostPort i
3 containerPort i
4 protocol s
5 hostIP s
#core.ContainerResizePolicy
1 resourceName s
2 restartPolicy s
#core.ContainerRestartRule
1 action s
2 exitCodes *=core.ContainerRestartRuleOnExitCodes
#core.ContainerRestartRuleOnExitCodes
1 operator s
2 values +i
#core.ContainerState
1 waiting *=core.ContainerStateWaiting
2 running *=core.ContainerStateRunning
3 terminated *=core.ContainerStateTerminated
#core.ContainerStateRunning
1 startedAt @Time
#core.ContainerStateTerminated
1 exitCode i
2 signal i
3 reason s
4 message s
5 startedAt @Time
6 finishedAt @Time
7 containerID s
#core.ContainerStateWaiting
1 reason s
2 message s
#core.ContainerStatus
1 name s
2 state =core.ContainerState
3 lastState =core.ContainerState
4 ready b
5 restartCount i
6 image s
7 imageID s
8 containerID s
9 started *b
10 allocatedResources %@Quantity
11 resources *=core.ResourceRequirements
12 volumeMounts +=core.VolumeMountStatus
13 user *=core.ContainerUser
14 allocatedResourcesStatus +=core.ResourceStatus
15 stopSignal *s
#core.ContainerUser
1 linux *=core.LinuxContainerUser
#core.EnvFromSource
1 prefix s
2 configMapRef *=core.ConfigMapEnvSource
3 secretRef *=core.SecretEnvSource
#core.EnvVar
1 name s
2 value s
3 valueFrom *=core.EnvVarSource
#core.EnvVarSource
1 fieldRef *=core.ObjectFieldSelector
2 resourceFieldRef *=core.ResourceFieldSelector
3 configMapKeyRef *=core.ConfigMapKeySelector
4 secretKeyRef *=core.SecretKeySelector
5 fileKeyRef *=core.FileKeySelector
#core.EphemeralContainer
1 ~ =core.EphemeralContainerCommon
2 targetContainerName s
#core.EphemeralContainerCommon
1 name s
2 image s
3 command +s
4 args +s
5 workingDir s
6 ports +=core.ContainerPort
7 env +=core.EnvVar
8 resources =core.ResourceRequirements
9 volumeMounts +=core.VolumeMount
10 livenessProbe *=core.Probe
11 readinessProbe *=core.Probe
12 lifecycle *=core.Lifecycle
13 terminationMessagePath s
14 imagePullPolicy s
15 securityContext *=core.SecurityContext
16 stdin b
17 stdinOnce b
18 tty b
19 envFrom +=core.EnvFromSource
20 terminationMessagePolicy s
21 volumeDevices +=core.VolumeDevice
22 startupProbe *=core.Probe
23 resizePolicy +=core.ContainerResizePolicy
24 restartPolicy *s
25 restartPolicyRules +=core.ContainerRestartRule
#core.ExecAction
1 command +s
#core.FileKeySelector
1 volumeName s
2 path s
3 key s
4 optional *b
#core.GRPCAction
1 port i
2 service *s
3 mode *s
#core.HTTPGetAction
1 path s
2 port @IntOrString
3 host s
4 scheme s
5 httpHeaders +=core.HTTPHeader
6 protocol *s
#core.HTTPHeader
1 name s
2 value s
#core.HostAlias
1 ip s
2 hostnames +s
#core.HostIP
1 ip s
#core.Lifecycle
1 postStart *=core.LifecycleHandler
2 preStop *=core.LifecycleHandler
3 stopSignal *s
#core.LifecycleHandler
1 exec *=core.ExecAction
2 httpGet *=core.HTTPGetAction
3 tcpSocket *=core.TCPSocketAction
4 sleep *=core.SleepAction
#core.LinuxContainerUser
1 uid i
2 gid i
3 supplementalGroups +i
#core.ObjectFieldSelector
1 apiVersion s
2 fieldPath s
#core.Pod
1 metadata =meta.ObjectMeta
2 spec =core.PodSpec
3 status =core.PodStatus
#core.PodAffinity
1 requiredDuringSchedulingIgnoredDuringExecution +=core.PodAffinityTerm
2 preferredDuringSchedulingIgnoredDuringExecution +=core.WeightedPodAffinityTerm
#core.PodAffinityTerm
1 labelSelector *=meta.LabelSelector
2 namespaces +s
3 topologyKey s
4 namespaceSelector *=meta.LabelSelector
5 matchLabelKeys +s
6 mismatchLabelKeys +s
#core.PodAntiAffinity
1 requiredDuringSchedulingIgnoredDuringExecution +=core.PodAffinityTerm
2 preferredDuringSchedulingIgnoredDuringExecution +=core.WeightedPodAffinityTerm
#core.PodCondition
1 type s
2 status s
3 lastProbeTime @Time
4 lastTransitionTime @Time
5 reason s
6 message s
7 observedGeneration i
#core.PodDNSConfig
1 nameservers +s
2 searches +s
3 options +=core.PodDNSConfigOption
#core.PodDNSConfigOption
1 name s
2 value *s
#core.PodExtendedResourceClaimStatus
1 requestMappings +=core.ContainerExtendedResourceRequest
2 resourceClaimName s
#core.PodIP
1 ip s
#core.PodOS
1 name s
#core.PodReadinessGate
1 conditionType s
#core.PodResourceClaim
1 name s
3 resourceClaimName *s
4 resourceClaimTemplateName *s
#core.PodResourceClaimStatus
1 name s
2 resourceClaimName *s
#core.PodSchedulingGate
1 name s
#core.PodSchedulingGroup
1 podGroupName *s
#core.PodSecurityContext
1 seLinuxOptions *=core.SELinuxOptions
2 runAsUser *i
3 runAsNonRoot *b
4 supplementalGroups +i
5 fsGroup *i
6 runAsGroup *i
7 sysctls +=core.Sysctl
8 windowsOptions *=core.WindowsSecurityContextOptions
9 fsGroupChangePolicy *s
10 seccompProfile *=core.SeccompProfile
11 appArmorProfile *=core.AppArmorProfile
12 supplementalGroupsPolicy *s
13 seLinuxChangePolicy *s
#core.PodSpec
1 volumes +=core.Volume
2 containers +=core.Container
3 restartPolicy s
4 terminationGracePeriodSeconds *i
5 activeDeadlineSeconds *i
6 dnsPolicy s
7 nodeSelector %s
8 serviceAccountName s
9 serviceAccount s
10 nodeName s
11 hostNetwork b
12 hostPID b
13 hostIPC b
14 securityContext *=core.PodSecurityContext
15 imagePullSecrets +=core.LocalObjectReference
16 hostname s
17 subdomain s
18 affinity *=core.Affinity
19 schedulerName s
20 initContainers +=core.Container
21 automountServiceAccountToken *b
22 tolerations +=core.Toleration
23 hostAliases +=core.HostAlias
24 priorityClassName s
25 priority *i
26 dnsConfig *=core.PodDNSConfig
27 shareProcessNamespace *b
28 readinessGates +=core.PodReadinessGate
29 runtimeClassName *s
30 enableServiceLinks *b
31 preemptionPolicy *s
32 overhead %@Quantity
33 topologySpreadConstraints +=core.TopologySpreadConstraint
34 ephemeralContainers +=core.EphemeralContainer
35 setHostnameAsFQDN *b
36 os *=core.PodOS
37 hostUsers *b
38 schedulingGates +=core.PodSchedulingGate
39 resourceClaims +=core.PodResourceClaim
40 resources *=core.ResourceRequirements
41 hostnameOverride *s
43 schedulingGroup *=core.PodSchedulingGroup
44 evictionResponders +=core.EvictionResponder
#core.PodStatus
1 phase s
2 conditions +=core.PodCondition
3 message s
4 reason s
5 hostIP s
6 podIP s
7 startTime *@Time
8 containerStatuses +=core.ContainerStatus
9 qosClass s
10 initContainerStatuses +=core.ContainerStatus
11 nominatedNodeName s
12 podIPs +=core.PodIP
13 ephemeralContainerStatuses +=core.ContainerStatus
14 resize s
15 resourceClaimStatuses +=core.PodResourceClaimStatus
16 hostIPs +=core.HostIP
17 observedGeneration i
18 extendedResourceClaimStatus *=core.PodExtendedResourceClaimStatus
19 allocatedResources %@Quantity
20 resources *=core.ResourceRequirements
21 nodeAllocatableResourceClaimStatuses +=core.NodeAllocatableResourceClaimStatus
22 volumeHealth +=core.PodVolumeHealth
#core.PreferredSchedulingTerm
1 weight i
2 preference =core.NodeSelectorTerm
#core.Probe
1 ~ =core.ProbeHandler
2 initialDelaySeconds i
3 timeoutSeconds i
4 periodSeconds i
5 successThreshold i
6 failureThreshold i
7 terminationGracePeriodSeconds *i
#core.ProbeHandler
1 exec *=core.ExecAction
2 httpGet *=core.HTTPGetAction
3 tcpSocket *=core.TCPSocketAction
4 grpc *=core.GRPCAction
#core.ResourceClaim
1 name s
2 request s
#core.ResourceFieldSelector
1 containerName s
2 resource s
3 divisor @Quantity
#core.ResourceHealth
1 resourceID s
2 health s
6 message *s
#core.ResourceRequirements
1 limits %@Quantity
2 requests %@Quantity
3 claims +=core.ResourceClaim
#core.ResourceStatus
1 name s
2 resources +=core.ResourceHealth
#core.SELinuxOptions
1 user s
2 role s
3 type s
4 level s
#core.SeccompProfile
1 type s
2 localhostProfile *s
#core.SecretEnvSource
1 ~ =core.LocalObjectReference
2 optional *b
#core.SecretKeySelector
1 ~ =core.LocalObjectReference
2 key s
3 optional *b
#core.SecurityContext
1 capabilities *=core.Capabilities
2 privileged *b
3 seLinuxOptions *=core.SELinuxOptions
4 runAsUser *i
5 runAsNonRoot *b
6 readOnlyRootFilesystem *b
7 allowPrivilegeEscalation *b
8 runAsGroup *i
9 procMount *s
10 windowsOptions *=core.WindowsSecurityContextOptions
11 seccompProfile *=core.SeccompProfile
12 appArmorProfile *=core.AppArmorProfile
#core.SleepAction
1 seconds i
#core.Sysctl
1 name s
2 value s
#core.TCPSocketAction
1 port @IntOrString
2 host s
#core.Toleration
1 key s
2 operator s
3 value s
4 effect s
5 tolerationSeconds *i
#core.TopologySelectorLabelRequirement
1 key s
2 values +s
#core.TopologySelectorTerm
1 matchLabelExpressions +=core.TopologySelectorLabelRequirement
#core.TopologySpreadConstraint
1 maxSkew i
2 topologyKey s
3 whenUnsatisfiable s
4 labelSelector *=meta.LabelSelector
5 minDomains *i
6 nodeAffinityPolicy *s
7 nodeTaintsPolicy *s
8 matchLabelKeys +s
#core.WeightedPodAffinityTerm
1 weight i
2 podAffinityTerm =core.PodAffinityTerm
#core.WindowsSecurityContextOptions
1 gmsaCredentialSpecName *s
2 gmsaCredentialSpec *s
3 runAsUserName *s
4 hostProcess *b
)";

}  // namespace nodevirt::apiserver::wire
