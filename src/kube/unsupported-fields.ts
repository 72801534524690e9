/**
 * What a pod's object may ask for and no agent carries out, as sentences that name the field: for whoever writes the
 * object (a Warning of the API), and for whoever looks at the pod (an event, the agent's status). A field that asks for
 * what is so anyway, as an empty securityContext, is none.
 */
import type { Container, PodSpec, Probe } from 'kubernetes-types/core/v1.js';

/** Where Kubernetes' admission mounts a token that nobody asked for. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** `place`: of the spec in its object, as `spec` or `spec.template.spec`. */
export function unsupportedFields(spec: Partial<PodSpec>, place = 'spec'): string[] {
  const out: string[] = [];
  const name = (field: string, isAsked: unknown): void => {
    if (isAsked) out.push(`${place}.${field} is not supported`);
  };
  name('activeDeadlineSeconds', spec.activeDeadlineSeconds !== undefined);
  name('runtimeClassName', spec.runtimeClassName);
  name('setHostnameAsFQDN', spec.setHostnameAsFQDN);
  name('hostUsers', (spec as { hostUsers?: boolean }).hostUsers === false);
  name('ephemeralContainers', spec.ephemeralContainers?.length);
  name('resourceClaims', (spec as { resourceClaims?: unknown[] }).resourceClaims?.length);
  if (spec.hostPID || spec.hostIPC) {
    out.push(`${place}.hostPID and hostIPC make no difference: pods share those of the host`);
  }
  for (const field of restrictions(spec.securityContext)) name(`securityContext.${field}`, true);
  for (const list of ['initContainers', 'containers'] as const) {
    (spec[list] ?? []).forEach((container, i) => {
      for (const field of ofContainer(container, spec.hostNetwork === true)) name(`${list}[${i}].${field}`, true);
    });
  }
  return out;
}

function ofContainer(container: Container, hostNetwork: boolean): string[] {
  const { securityContext, resources, ports = [], volumeMounts } = container;
  // Whoever checks a pod's fields does not look at those that nobody carries out.
  const mounts: readonly { mountPath?: string }[] = Array.isArray(volumeMounts) ? volumeMounts : [];
  const asked: Record<string, unknown> = {
    volumeMounts: mounts.some((mount) => mount?.mountPath !== SERVICE_ACCOUNT),
    volumeDevices: container.volumeDevices?.length,
    'resources.limits': Object.keys(resources?.limits ?? {}).length > 0,
    'lifecycle.stopSignal': (container.lifecycle as { stopSignal?: string } | undefined)?.stopSignal,
    // What is written there goes to the host's file of that path.
    terminationMessagePath: ![undefined, '', '/dev/termination-log'].includes(container.terminationMessagePath),
    terminationMessagePolicy: container.terminationMessagePolicy === 'FallbackToLogsOnError',
    'ports.hostPort': !hostNetwork && ports.some(({ hostPort }) => hostPort),
  };
  for (const kind of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
    asked[`${kind}.grpc`] = isGrpc(container[kind]);
  }
  const fields = Object.keys(asked).filter((field) => asked[field]);
  return [...fields, ...restrictions(securityContext).map((field) => `securityContext.${field}`)];
}

/** A probe that no agent can make: it is as if there were none. */
export function isGrpc(probe: Probe | undefined): boolean {
  return probe?.grpc !== undefined;
}

/** What of a securityContext takes something away that the agent itself may do: all run as its own user. */
function restrictions(context: object | undefined): string[] {
  const changesNothing: Record<string, (value: unknown) => boolean> = {
    privileged: () => true,
    allowPrivilegeEscalation: (value) => value === true,
    readOnlyRootFilesystem: (value) => value === false,
    runAsNonRoot: (value) => value === false,
    runAsUser: (value) => value === 0,
    runAsGroup: (value) => value === 0,
    procMount: (value) => value === 'Default',
    seccompProfile: isUnconfined,
    appArmorProfile: isUnconfined,
    capabilities: (value) => !(value as { drop?: unknown[] })?.drop?.length,
    fsGroupChangePolicy: () => true,
    supplementalGroupsPolicy: () => true,
  };
  return Object.entries(context ?? {})
    .filter(([field, value]) => value !== undefined && value !== null && !changesNothing[field]?.(value))
    .map(([field]) => field);
}

function isUnconfined(profile: unknown): boolean {
  return (profile as { type?: string } | undefined)?.type === 'Unconfined';
}
