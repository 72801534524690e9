/**
 * Field numbers of Kubernetes' protobuf messages (k8s.io/api/*\/generated.proto): of the kinds that `kubectl create`
 * writes in that form, and of what stands in them. A field that is not here is refused where it arrives, not lost.
 *
 *   name=NUMBER:type    type: string, int, bool, bytes or a message; `[]` a list, `{}` a map from strings
 *   `*`                 a pointer in Go: there when it was written, also as nought or empty; others are left out then
 *   `~`                 inlined: its fields stand in the message that holds it
 */
export interface MessageField {
  name: string;
  type: string;
  list: boolean;
  map: boolean;
  pointer: boolean;
  inline: boolean;
}

const TEXT = `
Namespace: metadata=1:ObjectMeta spec=2:NamespaceSpec status=3:NamespaceStatus
NamespaceSpec: finalizers=1:string[]
NamespaceStatus: phase=1:string
ConfigMap: metadata=1:ObjectMeta data=2:string{} binaryData=3:bytes{} immutable=4:bool*
Service: metadata=1:ObjectMeta spec=2:ServiceSpec status=3:ServiceStatus
ServiceSpec: ports=1:ServicePort[] selector=2:string{} clusterIP=3:string clusterIPs=18:string[] type=4:string externalIPs=5:string[] sessionAffinity=7:string loadBalancerIP=8:string loadBalancerSourceRanges=9:string[] externalName=10:string externalTrafficPolicy=11:string healthCheckNodePort=12:int publishNotReadyAddresses=13:bool sessionAffinityConfig=14:SessionAffinityConfig* ipFamilies=19:string[] ipFamilyPolicy=17:string* allocateLoadBalancerNodePorts=20:bool* loadBalancerClass=21:string* internalTrafficPolicy=22:string* trafficDistribution=23:string*
ServicePort: name=1:string protocol=2:string appProtocol=6:string* port=3:int targetPort=4:IntOrString nodePort=5:int
ServiceStatus: loadBalancer=1:LoadBalancerStatus
LoadBalancerStatus:
SessionAffinityConfig: clientIP=1:ClientIPConfig*
ClientIPConfig: timeoutSeconds=1:int*
Deployment: metadata=1:ObjectMeta spec=2:DeploymentSpec status=3:DeploymentStatus
DeploymentSpec: replicas=1:int* selector=2:LabelSelector* template=3:PodTemplateSpec strategy=4:DeploymentStrategy minReadySeconds=5:int revisionHistoryLimit=6:int* paused=7:bool progressDeadlineSeconds=9:int*
DeploymentStrategy: type=1:string rollingUpdate=2:RollingUpdateDeployment*
RollingUpdateDeployment: maxUnavailable=1:IntOrString* maxSurge=2:IntOrString*
DeploymentStatus: observedGeneration=1:int replicas=2:int updatedReplicas=3:int readyReplicas=7:int availableReplicas=4:int unavailableReplicas=5:int
Pod: metadata=1:ObjectMeta spec=2:PodSpec status=3:PodStatus
PodStatus: phase=1:string message=3:string reason=4:string nominatedNodeName=11:string hostIP=5:string podIP=6:string qosClass=9:string resize=14:string observedGeneration=17:int
PodTemplateSpec: metadata=1:ObjectMeta spec=2:PodSpec
PodSpec: volumes=1:Volume[] initContainers=20:Container[] containers=2:Container[] restartPolicy=3:string terminationGracePeriodSeconds=4:int* activeDeadlineSeconds=5:int* dnsPolicy=6:string nodeSelector=7:string{} serviceAccountName=8:string serviceAccount=9:string automountServiceAccountToken=21:bool* nodeName=10:string hostNetwork=11:bool hostPID=12:bool hostIPC=13:bool shareProcessNamespace=27:bool* securityContext=14:PodSecurityContext* imagePullSecrets=15:LocalObjectReference[] hostname=16:string subdomain=17:string affinity=18:Affinity* schedulerName=19:string tolerations=22:Toleration[] hostAliases=23:HostAlias[] priorityClassName=24:string priority=25:int* dnsConfig=26:PodDNSConfig* readinessGates=28:PodReadinessGate[] runtimeClassName=29:string* enableServiceLinks=30:bool* preemptionPolicy=31:string* topologySpreadConstraints=33:TopologySpreadConstraint[] setHostnameAsFQDN=35:bool* os=36:PodOS* hostUsers=37:bool*
PodSecurityContext: seLinuxOptions=1:SELinuxOptions* runAsUser=2:int* runAsNonRoot=3:bool* supplementalGroups=4:int[] fsGroup=5:int* runAsGroup=6:int* sysctls=7:Sysctl[] fsGroupChangePolicy=9:string* seccompProfile=10:SecurityProfile* appArmorProfile=11:SecurityProfile* supplementalGroupsPolicy=12:string*
SecurityContext: capabilities=1:Capabilities* privileged=2:bool* seLinuxOptions=3:SELinuxOptions* runAsUser=4:int* runAsNonRoot=5:bool* readOnlyRootFilesystem=6:bool* allowPrivilegeEscalation=7:bool* runAsGroup=8:int* procMount=9:string* seccompProfile=11:SecurityProfile* appArmorProfile=12:SecurityProfile*
Capabilities: add=1:string[] drop=2:string[]
SELinuxOptions: user=1:string role=2:string type=3:string level=4:string
SecurityProfile: type=1:string localhostProfile=2:string*
Sysctl: name=1:string value=2:string
Affinity: nodeAffinity=1:NodeAffinity* podAffinity=2:PodAffinity* podAntiAffinity=3:PodAffinity*
NodeAffinity: requiredDuringSchedulingIgnoredDuringExecution=1:NodeSelector* preferredDuringSchedulingIgnoredDuringExecution=2:PreferredSchedulingTerm[]
NodeSelector: nodeSelectorTerms=1:NodeSelectorTerm[]
NodeSelectorTerm: matchExpressions=1:LabelSelectorRequirement[] matchFields=2:LabelSelectorRequirement[]
PreferredSchedulingTerm: weight=1:int preference=2:NodeSelectorTerm
PodAffinity: requiredDuringSchedulingIgnoredDuringExecution=1:PodAffinityTerm[] preferredDuringSchedulingIgnoredDuringExecution=2:WeightedPodAffinityTerm[]
PodAffinityTerm: labelSelector=1:LabelSelector* namespaces=2:string[] topologyKey=3:string namespaceSelector=4:LabelSelector* matchLabelKeys=5:string[] mismatchLabelKeys=6:string[]
WeightedPodAffinityTerm: weight=1:int podAffinityTerm=2:PodAffinityTerm
TopologySpreadConstraint: maxSkew=1:int topologyKey=2:string whenUnsatisfiable=3:string labelSelector=4:LabelSelector* minDomains=5:int* nodeAffinityPolicy=6:string* nodeTaintsPolicy=7:string* matchLabelKeys=8:string[]
PodDNSConfig: nameservers=1:string[] searches=2:string[] options=3:PodDNSConfigOption[]
PodDNSConfigOption: name=1:string value=2:string*
PodReadinessGate: conditionType=1:string
PodOS: name=1:string
Volume: name=1:string volumeSource=2:VolumeSource~
VolumeSource: hostPath=1:HostPathVolumeSource* emptyDir=2:EmptyDirVolumeSource* persistentVolumeClaim=10:ClaimVolumeSource* secret=6:SecretVolumeSource* downwardAPI=16:DownwardAPIVolumeSource* configMap=19:ConfigMapVolumeSource* projected=26:ProjectedVolumeSource*
HostPathVolumeSource: path=1:string type=2:string*
EmptyDirVolumeSource: medium=1:string sizeLimit=2:Quantity*
ClaimVolumeSource: claimName=1:string readOnly=2:bool
SecretVolumeSource: secretName=1:string items=2:KeyToPath[] defaultMode=3:int* optional=4:bool*
ConfigMapVolumeSource: localObjectReference=1:LocalObjectReference~ items=2:KeyToPath[] defaultMode=3:int* optional=4:bool*
DownwardAPIVolumeSource: items=1:DownwardAPIVolumeFile[] defaultMode=2:int*
DownwardAPIVolumeFile: path=1:string fieldRef=2:ObjectFieldSelector* resourceFieldRef=3:ResourceFieldSelector* mode=4:int*
ResourceFieldSelector: containerName=1:string resource=2:string divisor=3:Quantity
ProjectedVolumeSource: sources=1:VolumeProjection[] defaultMode=2:int*
VolumeProjection: secret=1:ObjectProjection* downwardAPI=2:DownwardAPIProjection* configMap=3:ObjectProjection* serviceAccountToken=4:ServiceAccountTokenProjection*
ObjectProjection: localObjectReference=1:LocalObjectReference~ items=2:KeyToPath[] optional=4:bool*
DownwardAPIProjection: items=1:DownwardAPIVolumeFile[]
ServiceAccountTokenProjection: audience=1:string expirationSeconds=2:int* path=3:string
KeyToPath: key=1:string path=2:string mode=3:int*
VolumeMount: name=1:string readOnly=2:bool mountPath=3:string subPath=4:string mountPropagation=5:string* subPathExpr=6:string recursiveReadOnly=7:string*
Toleration: key=1:string operator=2:string value=3:string effect=4:string tolerationSeconds=5:int*
HostAlias: ip=1:string hostnames=2:string[]
Container: name=1:string image=2:string command=3:string[] args=4:string[] workingDir=5:string ports=6:ContainerPort[] envFrom=19:EnvFromSource[] env=7:EnvVar[] resources=8:ResourceRequirements volumeMounts=9:VolumeMount[] livenessProbe=10:Probe* readinessProbe=11:Probe* startupProbe=22:Probe* lifecycle=12:Lifecycle* restartPolicy=24:string* terminationMessagePath=13:string terminationMessagePolicy=20:string imagePullPolicy=14:string securityContext=15:SecurityContext* stdin=16:bool stdinOnce=17:bool tty=18:bool
ContainerPort: name=1:string hostPort=2:int containerPort=3:int protocol=4:string hostIP=5:string
EnvVar: name=1:string value=2:string valueFrom=3:EnvVarSource*
EnvVarSource: fieldRef=1:ObjectFieldSelector* resourceFieldRef=2:ResourceFieldSelector* configMapKeyRef=3:KeySelector* secretKeyRef=4:KeySelector*
EnvFromSource: prefix=1:string configMapRef=2:EnvSource* secretRef=3:EnvSource*
EnvSource: localObjectReference=1:LocalObjectReference~ optional=2:bool*
ObjectFieldSelector: apiVersion=1:string fieldPath=2:string
KeySelector: localObjectReference=1:LocalObjectReference~ key=2:string optional=3:bool*
LocalObjectReference: name=1:string
ResourceRequirements: limits=1:Quantity{} requests=2:Quantity{}
Probe: handler=1:ProbeHandler~ initialDelaySeconds=2:int timeoutSeconds=3:int periodSeconds=4:int successThreshold=5:int failureThreshold=6:int terminationGracePeriodSeconds=7:int*
ProbeHandler: exec=1:ExecAction* httpGet=2:HTTPGetAction* tcpSocket=3:TCPSocketAction* grpc=4:GRPCAction*
GRPCAction: port=1:int service=2:string*
Lifecycle: postStart=1:LifecycleHandler* preStop=2:LifecycleHandler* stopSignal=3:string*
LifecycleHandler: exec=1:ExecAction* httpGet=2:HTTPGetAction* tcpSocket=3:TCPSocketAction* sleep=4:SleepAction*
SleepAction: seconds=1:int
ExecAction: command=1:string[]
HTTPGetAction: path=1:string port=2:IntOrString host=3:string scheme=4:string httpHeaders=5:HTTPHeader[]
HTTPHeader: name=1:string value=2:string
TCPSocketAction: port=1:IntOrString host=2:string
Ingress: metadata=1:ObjectMeta spec=2:IngressSpec status=3:IngressStatus
IngressSpec: ingressClassName=4:string* defaultBackend=1:IngressBackend* tls=2:IngressTLS[] rules=3:IngressRule[]
IngressBackend: service=4:IngressServiceBackend*
IngressServiceBackend: name=1:string port=2:ServiceBackendPort
ServiceBackendPort: name=1:string number=2:int
IngressTLS: hosts=1:string[] secretName=2:string
IngressRule: host=1:string ingressRuleValue=2:IngressRuleValue~
IngressRuleValue: http=1:HTTPIngressRuleValue*
HTTPIngressRuleValue: paths=1:HTTPIngressPath[]
HTTPIngressPath: path=1:string pathType=3:string* backend=2:IngressBackend
IngressStatus: loadBalancer=1:LoadBalancerStatus
SelfSubjectAccessReview: metadata=1:ObjectMeta spec=2:SelfSubjectAccessReviewSpec status=3:SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec: resourceAttributes=1:ResourceAttributes* nonResourceAttributes=2:NonResourceAttributes*
SubjectAccessReview: metadata=1:ObjectMeta spec=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus
SubjectAccessReviewSpec: resourceAttributes=1:ResourceAttributes* nonResourceAttributes=2:NonResourceAttributes* user=3:string groups=4:string[] uid=6:string
SubjectAccessReviewStatus: allowed=1:bool reason=2:string evaluationError=3:string denied=4:bool
ResourceAttributes: namespace=1:string verb=2:string group=3:string version=4:string resource=5:string subresource=6:string name=7:string
SelfSubjectReview: metadata=1:ObjectMeta status=2:SelfSubjectReviewStatus
SelfSubjectReviewStatus: userInfo=1:UserInfo
UserInfo: username=1:string uid=2:string groups=3:string[]
NonResourceAttributes: path=1:string verb=2:string
SelfSubjectRulesReview: metadata=1:ObjectMeta spec=2:SelfSubjectRulesReviewSpec status=3:SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec: namespace=1:string
SubjectRulesReviewStatus: incomplete=3:bool evaluationError=4:string
DeleteOptions: gracePeriodSeconds=1:int* preconditions=2:Preconditions* orphanDependents=3:bool* propagationPolicy=4:string* dryRun=5:string[]
Preconditions: uid=1:string* resourceVersion=2:string*
ObjectMeta: name=1:string generateName=2:string namespace=3:string selfLink=4:string uid=5:string resourceVersion=6:string generation=7:int creationTimestamp=8:Time deletionTimestamp=9:Time* deletionGracePeriodSeconds=10:int* labels=11:string{} annotations=12:string{} ownerReferences=13:OwnerReference[] finalizers=14:string[]
OwnerReference: apiVersion=5:string kind=1:string name=3:string uid=4:string controller=6:bool* blockOwnerDeletion=7:bool*
LabelSelector: matchLabels=1:string{} matchExpressions=2:LabelSelectorRequirement[]
LabelSelectorRequirement: key=1:string operator=2:string values=3:string[]
IntOrString: type=1:int intVal=2:int strVal=3:string
Quantity: string=1:string
Time: seconds=1:int nanos=2:int
`;

/** By message, then by field number. */
export const MESSAGES: ReadonlyMap<string, ReadonlyMap<number, MessageField>> = new Map(
  TEXT.trim()
    .split('\n')
    .map((line) => {
      const [message = '', fields = ''] = line.split(/: ?(.*)/);
      return [message, new Map(fields.split(' ').filter(Boolean).map(readField))];
    }),
);

function readField(text: string): [number, MessageField] {
  const [, name, number, type, marks] = /^(\w+)=(\d+):(\w+)(\S*)$/.exec(text) as unknown as [
    string,
    string,
    string,
    string,
    string,
  ];
  const has = (mark: string): boolean => marks.includes(mark);
  return [Number(number), { name, type, list: has('[]'), map: has('{}'), pointer: has('*'), inline: has('~') }];
}
