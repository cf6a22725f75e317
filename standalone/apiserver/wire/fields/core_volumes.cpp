// Field numbers, core: volumes, claims and where their data comes from. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kCoreVolumesFields = R"(#core.AWSElasticBlockStoreVolumeSource
1 volumeID s
2 fsType s
3 partition i
4 readOnly b
#core.AttachedVolume
1 name s
2 devicePath s
#core.AzureDiskVolumeSource
1 diskName s
2 diskURI s
3 cachingMode *s
4 fsType *s
5 readOnly *b
6 kind *s
#core.AzureFilePersistentVolumeSource
1 secretName s
2 shareName s
3 readOnly b
4 secretNamespace *s
#core.AzureFileVolumeSource
1 secretName s
2 shareName s
3 readOnly b
#core.CSIPersistentVolumeSource
1 driver s
2 volumeHandle s
3 readOnly b
4 fsType s
5 volumeAttributes %s
6 controllerPublishSecretRef *=core.SecretReference
7 nodeStageSecretRef *=core.SecretReference
8 nodePublishSecretRef *=core.SecretReference
9 controllerExpandSecretRef *=core.SecretReference
10 nodeExpandSecretRef *=core.SecretReference
#core.CSIVolumeSource
1 driver s
2 readOnly *b
3 fsType *s
4 volumeAttributes %s
5 nodePublishSecretRef *=core.LocalObjectReference
#core.CephFSPersistentVolumeSource
1 monitors +s
2 path s
3 user s
4 secretFile s
5 secretRef *=core.SecretReference
6 readOnly b
#core.CephFSVolumeSource
1 monitors +s
2 path s
3 user s
4 secretFile s
5 secretRef *=core.LocalObjectReference
6 readOnly b
#core.CinderPersistentVolumeSource
1 volumeID s
2 fsType s
3 readOnly b
4 secretRef *=core.SecretReference
#core.CinderVolumeSource
1 volumeID s
2 fsType s
3 readOnly b
4 secretRef *=core.LocalObjectReference
#core.ClusterTrustBundleProjection
1 name *s
2 signerName *s
3 labelSelector *=meta.LabelSelector
4 path s
5 optional *b
6 user *i
#core.ConfigMapProjection
1 ~ =core.LocalObjectReference
2 items +=core.KeyToPath
4 optional *b
#core.ConfigMapVolumeSource
1 ~ =core.LocalObjectReference
2 items +=core.KeyToPath
3 defaultMode *i
4 optional *b
5 defaultUser *i
#core.DownwardAPIProjection
1 items +=core.DownwardAPIVolumeFile
#core.DownwardAPIVolumeFile
1 path s
2 fieldRef *=core.ObjectFieldSelector
3 resourceFieldRef *=core.ResourceFieldSelector
4 mode *i
5 user *i
#core.DownwardAPIVolumeSource
1 items +=core.DownwardAPIVolumeFile
2 defaultMode *i
3 defaultUser *i
#core.EmptyDirVolumeSource
1 medium s
2 sizeLimit *@Quantity
3 mode *i
#core.EphemeralVolumeSource
1 volumeClaimTemplate *=core.PersistentVolumeClaimTemplate
#core.FCVolumeSource
1 targetWWNs +s
2 lun *i
3 fsType s
4 readOnly b
5 wwids +s
#core.FlexPersistentVolumeSource
1 driver s
2 fsType s
3 secretRef *=core.SecretReference
4 readOnly b
5 options %s
#core.FlexVolumeSource
1 driver s
2 fsType s
3 secretRef *=core.LocalObjectReference
4 readOnly b
5 options %s
#core.FlockerVolumeSource
1 datasetName s
2 datasetUUID s
#core.GCEPersistentDiskVolumeSource
1 pdName s
2 fsType s
3 partition i
4 readOnly b
#core.GitRepoVolumeSource
1 repository s
2 revision s
3 directory s
#core.GlusterfsPersistentVolumeSource
1 endpoints s
2 path s
3 readOnly b
4 endpointsNamespace *s
#core.GlusterfsVolumeSource
1 endpoints s
2 path s
3 readOnly b
#core.HostPathVolumeSource
1 path s
2 type *s
#core.ISCSIPersistentVolumeSource
1 targetPortal s
2 iqn s
3 lun i
4 iscsiInterface s
5 fsType s
6 readOnly b
7 portals +s
8 chapAuthDiscovery b
10 secretRef *=core.SecretReference
11 chapAuthSession b
12 initiatorName *s
#core.ISCSIVolumeSource
1 targetPortal s
2 iqn s
3 lun i
4 iscsiInterface s
5 fsType s
6 readOnly b
7 portals +s
8 chapAuthDiscovery b
10 secretRef *=core.LocalObjectReference
11 chapAuthSession b
12 initiatorName *s
#core.ImageVolumeSource
1 reference s
2 pullPolicy s
#core.ImageVolumeStatus
1 imageRef s
#core.KeyToPath
1 key s
2 path s
3 mode *i
4 user *i
#core.LocalVolumeSource
1 path s
2 fsType *s
#core.ModifyVolumeStatus
1 targetVolumeAttributesClassName s
2 status s
#core.NFSVolumeSource
1 server s
2 path s
3 readOnly b
#core.PersistentVolume
1 metadata =meta.ObjectMeta
2 spec =core.PersistentVolumeSpec
3 status =core.PersistentVolumeStatus
#core.PersistentVolumeClaim
1 metadata =meta.ObjectMeta
2 spec =core.PersistentVolumeClaimSpec
3 status =core.PersistentVolumeClaimStatus
#core.PersistentVolumeClaimCondition
1 type s
2 status s
3 lastProbeTime @Time
4 lastTransitionTime @Time
5 reason s
6 message s
#core.PersistentVolumeClaimSpec
1 accessModes +s
2 resources =core.VolumeResourceRequirements
3 volumeName s
4 selector *=meta.LabelSelector
5 storageClassName *s
6 volumeMode *s
7 dataSource *=core.TypedLocalObjectReference
8 dataSourceRef *=core.TypedObjectReference
9 volumeAttributesClassName *s
#core.PersistentVolumeClaimStatus
1 phase s
2 accessModes +s
3 capacity %@Quantity
4 conditions +=core.PersistentVolumeClaimCondition
5 allocatedResources %@Quantity
7 allocatedResourceStatuses %s
8 currentVolumeAttributesClassName *s
9 modifyVolumeStatus *=core.ModifyVolumeStatus
10 healthStatus *=core.VolumeHealthStatus
#core.PersistentVolumeClaimTemplate
1 metadata =meta.ObjectMeta
2 spec =core.PersistentVolumeClaimSpec
#core.PersistentVolumeClaimVolumeSource
1 claimName s
2 readOnly b
#core.PersistentVolumeSource
1 gcePersistentDisk *=core.GCEPersistentDiskVolumeSource
2 awsElasticBlockStore *=core.AWSElasticBlockStoreVolumeSource
3 hostPath *=core.HostPathVolumeSource
4 glusterfs *=core.GlusterfsPersistentVolumeSource
5 nfs *=core.NFSVolumeSource
6 rbd *=core.RBDPersistentVolumeSource
7 iscsi *=core.ISCSIPersistentVolumeSource
8 cinder *=core.CinderPersistentVolumeSource
9 cephfs *=core.CephFSPersistentVolumeSource
10 fc *=core.FCVolumeSource
11 flocker *=core.FlockerVolumeSource
12 flexVolume *=core.FlexPersistentVolumeSource
13 azureFile *=core.AzureFilePersistentVolumeSource
14 vsphereVolume *=core.VsphereVirtualDiskVolumeSource
15 quobyte *=core.QuobyteVolumeSource
16 azureDisk *=core.AzureDiskVolumeSource
17 photonPersistentDisk *=core.PhotonPersistentDiskVolumeSource
18 portworxVolume *=core.PortworxVolumeSource
19 scaleIO *=core.ScaleIOPersistentVolumeSource
20 local *=core.LocalVolumeSource
21 storageos *=core.StorageOSPersistentVolumeSource
22 csi *=core.CSIPersistentVolumeSource
#core.PersistentVolumeSpec
1 capacity %@Quantity
2 ~ =core.PersistentVolumeSource
3 accessModes +s
4 claimRef *=core.ObjectReference
5 persistentVolumeReclaimPolicy s
6 storageClassName s
7 mountOptions +s
8 volumeMode *s
9 nodeAffinity *=core.VolumeNodeAffinity
10 volumeAttributesClassName *s
#core.PersistentVolumeStatus
1 phase s
2 message s
3 reason s
4 lastPhaseTransitionTime *@Time
#core.PhotonPersistentDiskVolumeSource
1 pdID s
2 fsType s
#core.PodCertificateProjection
1 signerName s
2 keyType s
3 maxExpirationSeconds *i
4 credentialBundlePath s
5 keyPath s
6 certificateChainPath s
7 userAnnotations %s
8 user *i
#core.PodVolumeHealth
1 name s
2 healthConditions +=core.VolumeHealthCondition
3 lastTransitionTime @Time
#core.PortworxVolumeSource
1 volumeID s
2 fsType s
3 readOnly b
#core.ProjectedVolumeSource
1 sources +=core.VolumeProjection
2 defaultMode *i
3 defaultUser *i
#core.QuobyteVolumeSource
1 registry s
2 volume s
3 readOnly b
4 user s
5 group s
6 tenant s
#core.RBDPersistentVolumeSource
1 monitors +s
2 image s
3 fsType s
4 pool s
5 user s
6 keyring s
7 secretRef *=core.SecretReference
8 readOnly b
#core.RBDVolumeSource
1 monitors +s
2 image s
3 fsType s
4 pool s
5 user s
6 keyring s
7 secretRef *=core.LocalObjectReference
8 readOnly b
#core.ScaleIOPersistentVolumeSource
1 gateway s
2 system s
3 secretRef *=core.SecretReference
4 sslEnabled b
5 protectionDomain s
6 storagePool s
7 storageMode s
8 volumeName s
9 fsType s
10 readOnly b
#core.ScaleIOVolumeSource
1 gateway s
2 system s
3 secretRef *=core.LocalObjectReference
4 sslEnabled b
5 protectionDomain s
6 storagePool s
7 storageMode s
8 volumeName s
9 fsType s
10 readOnly b
#core.SecretProjection
1 ~ =core.LocalObjectReference
2 items +=core.KeyToPath
4 optional *b
#core.SecretVolumeSource
1 secretName s
2 items +=core.KeyToPath
3 defaultMode *i
4 optional *b
5 defaultUser *i
#core.ServiceAccountTokenProjection
1 audience s
2 expirationSeconds *i
3 path s
4 user *i
#core.StorageOSPersistentVolumeSource
1 volumeName s
2 volumeNamespace s
3 fsType s
4 readOnly b
5 secretRef *=core.ObjectReference
#core.StorageOSVolumeSource
1 volumeName s
2 volumeNamespace s
3 fsType s
4 readOnly b
5 secretRef *=core.LocalObjectReference
#core.Volume
1 name s
2 ~ =core.VolumeSource
#core.VolumeDevice
1 name s
2 devicePath s
#core.VolumeHealthCondition
1 status s
2 reason s
3 message s
#core.VolumeHealthStatus
1 healthConditions +=core.VolumeHealthCondition
2 lastTransitionTime @Time
#core.VolumeMount
1 name s
2 readOnly b
3 mountPath s
4 subPath s
5 mountPropagation *s
6 subPathExpr s
7 recursiveReadOnly *s
8 bindMountOptions +s
#core.VolumeMountStatus
1 name s
2 mountPath s
3 readOnly b
4 recursiveReadOnly *s
5 volumeStatus *=core.VolumeStatus
#core.VolumeNodeAffinity
1 required *=core.NodeSelector
#core.VolumeProjection
1 secret *=core.SecretProjection
2 downwardAPI *=core.DownwardAPIProjection
3 configMap *=core.ConfigMapProjection
4 serviceAccountToken *=core.ServiceAccountTokenProjection
5 clusterTrustBundle *=core.ClusterTrustBundleProjection
6 podCertificate *=core.PodCertificateProjection
#core.VolumeResourceRequirements
1 limits %@Quantity
2 requests %@Quantity
#core.VolumeSource
1 hostPath *=core.HostPathVolumeSource
2 emptyDir *=core.EmptyDirVolumeSource
3 gcePersistentDisk *=core.GCEPersistentDiskVolumeSource
4 awsElasticBlockStore *=core.AWSElasticBlockStoreVolumeSource
5 gitRepo *=core.GitRepoVolumeSource
6 secret *=core.SecretVolumeSource
7 nfs *=core.NFSVolumeSource
8 iscsi *=core.ISCSIVolumeSource
9 glusterfs *=core.GlusterfsVolumeSource
10 persistentVolumeClaim *=core.PersistentVolumeClaimVolumeSource
11 rbd *=core.RBDVolumeSource
12 flexVolume *=core.FlexVolumeSource
13 cinder *=core.CinderVolumeSource
14 cephfs *=core.CephFSVolumeSource
15 flocker *=core.FlockerVolumeSource
16 downwardAPI *=core.DownwardAPIVolumeSource
17 fc *=core.FCVolumeSource
18 azureFile *=core.AzureFileVolumeSource
19 configMap *=core.ConfigMapVolumeSource
20 vsphereVolume *=core.VsphereVirtualDiskVolumeSource
21 quobyte *=core.QuobyteVolumeSource
22 azureDisk *=core.AzureDiskVolumeSource
23 photonPersistentDisk *=core.PhotonPersistentDiskVolumeSource
24 portworxVolume *=core.PortworxVolumeSource
25 scaleIO *=core.ScaleIOVolumeSource
26 projected *=core.ProjectedVolumeSource
27 storageos *=core.StorageOSVolumeSource
28 csi *=core.CSIVolumeSource
29 ephemeral *=core.EphemeralVolumeSource
30 image *=core.ImageVolumeSource
#core.VolumeStatus
1 image *=core.ImageVolumeStatus
#core.VsphereVirtualDiskVolumeSource
1 volumePath s
2 fsType s
3 storagePolicyName s
4 storagePolicyID s
)";

}  // namespace nodevirt::apiserver::wire
