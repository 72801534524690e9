/**
 * A container's command and environment at the moment it starts (k8s.io/kubernetes pkg/kubelet/kubelet_pods.go,
 * makeEnvironmentVariables): services, ConfigMaps and labels as they are then. What changes in them later reaches the
 * container when it starts again.
 */
import type { Container, EnvFromSource, EnvVarSource, ResourceFieldSelector } from 'kubernetes-types/core/v1.js';
import type { ClusterService } from '../../control/model.ts';
import type { ConfigMap } from '../../kube/objects.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import { serviceVariables } from './service-variables.ts';

export interface Launch {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  workingDir: string;
  input: InputKind;
}

/** What a command reads: nothing, a pipe that never ends or ends with its first client, or a terminal. */
export type InputKind = 'none' | 'open' | 'once' | 'terminal';

export function inputKind({ stdin, stdinOnce, tty }: Container): InputKind {
  if (tty) return 'terminal';
  if (!stdin) return 'none';
  return stdinOnce ? 'once' : 'open';
}

/** What a container may refer to; of its pod, its node and its namespace. */
export interface LaunchContext {
  namespace: string;
  hostname: string;
  /** PATH, where the container sets none. */
  path: string;
  /** By the path of fieldRef: `metadata.name`, `status.podIP`. */
  fields: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  /** All containers of the pod, for resourceFieldRef. */
  containers: readonly Container[];
  allocatable: { processors: number; memoryBytes: number };
  configMaps: ReadonlyMap<string, ConfigMap>;
  services: ReadonlyMap<string, ClusterService>;
  serviceLinks: boolean;
}

/** Why a container cannot be started now; `reason` is what its status says. */
export class LaunchError extends Error {
  readonly reason: 'CreateContainerConfigError' | 'ErrImageNeverPull';

  constructor(reason: LaunchError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

function misconfigured(message: string): LaunchError {
  return new LaunchError('CreateContainerConfigError', message);
}

/** Throws LaunchError. */
export function launchOf(container: Container, command: readonly string[] | undefined, context: LaunchContext): Launch {
  if (!command) {
    const image = container.image ?? '(none)';
    throw new LaunchError(
      'ErrImageNeverPull',
      `image ${image} is not known; give a command, or its program in the agent's --images`,
    );
  }
  const env: Record<string, string> = {
    PATH: context.path,
    HOME: '/root',
    HOSTNAME: context.hostname,
    ...(container.tty ? { TERM: 'xterm' } : {}),
    ...serviceVariables(context.services, context.namespace, context.serviceLinks),
  };
  for (const source of container.envFrom ?? []) Object.assign(env, variablesFrom(source, context));
  for (const variable of container.env ?? []) {
    const value = variable.valueFrom
      ? valueFrom(variable.valueFrom, container, context)
      : expand(variable.value ?? '', env);
    if (value !== undefined) env[variable.name] = value;
  }
  const argv = command.map((word) => expand(word, env));
  return { argv, env, workingDir: container.workingDir || '/', input: inputKind(container) };
}

/** `$(NAME)` becomes the variable's value, where there is one; `$$(NAME)` stays as `$(NAME)` (core/v1 EnvVar). */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^()]+)\))/g, (whole, first: string, name: string | undefined) => {
    if (first === '$') return '$';
    return name !== undefined && Object.hasOwn(env, name) ? (env[name] as string) : whole;
  });
}

function variablesFrom(source: EnvFromSource, context: LaunchContext): Record<string, string> {
  const { prefix = '', configMapRef, secretRef } = source;
  if (secretRef && !secretRef.optional) throw misconfigured(`secret "${secretRef.name}": secrets are not supported`);
  if (!configMapRef) return {};
  const map = context.configMaps.get(`${context.namespace}/${configMapRef.name}`);
  if (!map && !configMapRef.optional) throw misconfigured(`configmap "${configMapRef.name}" not found`);
  return Object.fromEntries(Object.entries(map?.data ?? {}).map(([key, value]) => [`${prefix}${key}`, value]));
}

/** undefined: the variable is left out. */
function valueFrom(source: EnvVarSource, container: Container, context: LaunchContext): string | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = source;
  if (fieldRef) return fieldValue(fieldRef.fieldPath, context);
  if (resourceFieldRef) return resourceValue(resourceFieldRef, container, context);
  if (configMapKeyRef) {
    const { name, key, optional } = configMapKeyRef;
    const map = context.configMaps.get(`${context.namespace}/${name}`);
    if (!map && !optional) throw misconfigured(`configmap "${name}" not found`);
    const value = Object.hasOwn(map?.data ?? {}, key) ? map?.data?.[key] : undefined;
    if (value === undefined && !optional) {
      throw misconfigured(`couldn't find key ${key} in ConfigMap ${context.namespace}/${name}`);
    }
    return value;
  }
  if (secretKeyRef?.optional) return undefined;
  throw misconfigured(secretKeyRef ? `secret "${secretKeyRef.name}": secrets are not supported` : 'valueFrom is empty');
}

function fieldValue(path: string, { fields, labels, annotations }: LaunchContext): string {
  if (Object.hasOwn(fields, path)) return fields[path] as string;
  const [, of, key] = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path) ?? [];
  if (of === undefined || key === undefined) throw misconfigured(`fieldRef ${path} is not supported`);
  const map = of === 'labels' ? labels : annotations;
  return Object.hasOwn(map, key) ? (map[key] as string) : '';
}

/** Limits that are not set are what the node has; in whole divisors, rounded up. */
function resourceValue(selector: ResourceFieldSelector, own: Container, context: LaunchContext): string {
  const { resource, containerName } = selector;
  const container = containerName ? context.containers.find((each) => each.name === containerName) : own;
  const [, of, name] = /^(limits|requests)\.(cpu|memory)$/.exec(resource) ?? [];
  if (!container || of === undefined || name === undefined) {
    throw misconfigured(`resourceFieldRef ${containerName ? `${containerName} ` : ''}${resource} is not supported`);
  }
  const limit = container.resources?.limits?.[name];
  const written = of === 'limits' ? limit : (container.resources?.requests?.[name] ?? limit);
  const whole = name === 'cpu' ? context.allocatable.processors : context.allocatable.memoryBytes;
  const value = written === undefined ? (of === 'limits' ? whole : 0) : parseQuantity(written);
  const divisor = parseQuantity(selector.divisor ?? 1) || 1;
  if (value === undefined) throw misconfigured(`resourceFieldRef ${resource}: ${written} is no quantity`);
  // A thousandth of a processor in binary is a little more than one.
  return `${Math.ceil(Number((value / divisor).toFixed(6)))}`;
}
