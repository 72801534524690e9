/** Rules between the fields of a Service (k8s.io/kubernetes pkg/apis/core/validation, ValidateService). */
import { isV4, parseAddress } from '../wire/address.ts';
import type { Service } from './objects.ts';
import {
  IPVS_SCHEDULER_ANNOTATION,
  IPVS_SCHEDULERS,
  PROXY_MODE_ANNOTATION,
  PROXY_MODES,
  parseIpvsScheduler,
  parseProxyMode,
} from './proxy-mode.ts';
import { doubles, isHostAddress, portNames, UNUSABLE } from './rule-checks.ts';
import type { Violation } from './violation.ts';

export function serviceRules(service: Service): Violation[] {
  const out: Violation[] = [];
  typeRules(service, out);
  addressRules(service, out);
  portRules(service, out);
  annotationRules(service, out);
  return out;
}

function typeRules({ spec }: Service, out: Violation[]): void {
  const headless = spec.clusterIP === 'None';
  if (spec.type === 'ExternalName') {
    if (!spec.externalName) out.push({ path: ['spec', 'externalName'], message: 'is required with type ExternalName' });
    if (spec.clusterIP) out.push({ path: ['spec', 'clusterIP'], message: 'must be empty with type ExternalName' });
  } else if (!spec.ports?.length && !headless) {
    out.push({ path: ['spec', 'ports'], message: 'is required, unless clusterIP is None' });
  }
  if (headless && (spec.type === 'NodePort' || spec.type === 'LoadBalancer')) {
    out.push({ path: ['spec', 'clusterIP'], message: `must not be None with type ${spec.type}` });
  }
  const checked = spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
  if (spec.healthCheckNodePort && !checked) {
    const message = 'must be left out, unless type is LoadBalancer and externalTrafficPolicy is Local';
    out.push({ path: ['spec', 'healthCheckNodePort'], message });
  }
}

function addressRules({ spec }: Service, out: Violation[]): void {
  const first = spec.clusterIPs?.[0];
  if (first !== undefined && spec.clusterIP !== undefined && first !== spec.clusterIP) {
    out.push({ path: ['spec', 'clusterIPs', 0], message: `must be the same as clusterIP ("${spec.clusterIP}")` });
  }
  const address = spec.clusterIP ? parseAddress(spec.clusterIP) : undefined;
  if (address && !isHostAddress(address)) out.push({ path: ['spec', 'clusterIP'], message: UNUSABLE });
  (spec.externalIPs ?? []).forEach((ip, i) => {
    const words = parseAddress(ip);
    if (words && !isHostAddress(words)) out.push({ path: ['spec', 'externalIPs', i], message: UNUSABLE });
  });
  const families = spec.ipFamilies ?? [];
  doubles(families, (i) => ['spec', 'ipFamilies', i], out);
  const written = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
  const seen = new Set<string>();
  written.forEach((text, i) => {
    const words = parseAddress(text);
    if (!words) return;
    const family = isV4(words) ? 'IPv4' : 'IPv6';
    const path = spec.clusterIPs ? ['spec', 'clusterIPs', i] : ['spec', 'clusterIP'];
    if (seen.has(family)) out.push({ path, message: `must not be a second ${family} address` });
    seen.add(family);
    const wanted = families[i];
    if (wanted && wanted !== family) out.push({ path, message: `must be ${wanted}, as ipFamilies[${i}] says` });
  });
  if (spec.ipFamilyPolicy === 'SingleStack' && Math.max(families.length, seen.size) > 1) {
    out.push({ path: ['spec', 'ipFamilyPolicy'], message: 'must not be SingleStack where two families are written' });
  }
}

function portRules({ spec }: Service, out: Violation[]): void {
  const ports = spec.ports ?? [];
  portNames(
    ports.map((p) => p.name),
    (i) => ['spec', 'ports', i, 'name'],
    out,
  );
  doubles(
    ports.map((p) => `${p.port}/${p.protocol ?? 'TCP'}`),
    (i) => ['spec', 'ports', i, 'port'],
    out,
  );
  doubles(
    ports.map((p) => (p.nodePort ? `${p.nodePort}/${p.protocol ?? 'TCP'}` : undefined)),
    (i) => ['spec', 'ports', i, 'nodePort'],
    out,
  );
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') return;
  ports.forEach((p, i) => {
    const message = `must be left out with type ${spec.type ?? 'ClusterIP'}`;
    if (p.nodePort) out.push({ path: ['spec', 'ports', i, 'nodePort'], message });
  });
}

function annotationRules({ metadata }: Service, out: Violation[]): void {
  const mode = metadata.annotations?.[PROXY_MODE_ANNOTATION];
  if (mode !== undefined && !parseProxyMode(mode)) {
    const path = ['metadata', 'annotations', PROXY_MODE_ANNOTATION];
    out.push({ path, message: `must be one of ${PROXY_MODES.join(', ')} or ipvs:SCHEDULER, not "${mode}"` });
  }
  const scheduler = metadata.annotations?.[IPVS_SCHEDULER_ANNOTATION];
  if (scheduler !== undefined && !parseIpvsScheduler(scheduler)) {
    const path = ['metadata', 'annotations', IPVS_SCHEDULER_ANNOTATION];
    out.push({ path, message: `must be one of ${IPVS_SCHEDULERS.join(', ')}, not "${scheduler}"` });
  }
}
