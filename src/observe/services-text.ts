/** `weft services` for people: all services of a host in one table, or some with who stands behind each port. */
import colors from 'picocolors';
import type { PortReport, ServiceReport } from '../agent/host/service-report.ts';
import { table } from './table.ts';

export function servicesText(services: readonly ServiceReport[]): string {
  if (services.length === 0) return 'There are no services.';
  const parts = [
    table(
      ['SERVICE', 'TYPE', 'CLUSTER-IP', 'EXTERNAL-IP', 'PORTS', 'MODE', 'ENDPOINTS', 'CONNECTIONS', 'ACTIVE'],
      services.map((service) => [
        nameOf(service),
        service.type || colors.yellow('refused'),
        service.clusterIps.join(',') || 'none',
        [...service.externalIps, service.externalName].filter((text) => text !== '').join(',') || 'none',
        service.ports.map(portText).join(','),
        service.mode,
        endpointCell(service),
        `${sum(service, 'connections')}`,
        `${sum(service, 'active')}`,
      ]),
    ),
  ];
  const wrong = services.flatMap(({ problems }) => problems);
  if (wrong.length > 0) parts.push(problemText(wrong));
  return parts.join('\n\n');
}

/** Each service by itself. */
export function serviceDetailText(services: readonly ServiceReport[], nowMs: number): string {
  return services.map((service) => detail(service, nowMs)).join('\n\n');
}

function detail(service: ServiceReport, nowMs: number): string {
  const rows: [string, string][] = [
    [
      'type',
      service.type === '' ? colors.yellow('refused') : service.headless ? `${service.type}, headless` : service.type,
    ],
    ['addresses', service.clusterIps.join(', ')],
    ['external', [...service.externalIps, service.externalName].filter((text) => text !== '').join(', ')],
    ['mode', service.mode],
    ['ports', service.ports.map(portText).join(', ')],
  ];
  const parts = [
    table(
      ['SERVICE', nameOf(service)],
      rows.filter(([, value]) => value !== ''),
    ),
  ];
  if (service.ports.length > 0) {
    parts.push(
      table(
        ['PORT', 'ENDPOINT', 'POD', 'NODE', 'CONNECTIONS', 'ACTIVE', 'FAILURES', 'LEFT OUT', ''],
        service.ports.flatMap((port) => endpointRows(port, nowMs)),
      ),
    );
  }
  const relayed = service.ports.flatMap(({ relays, port, protocol }) =>
    relays.map((relay) => [
      `${port}/${protocol}`,
      relay.address,
      ...[relay.accepted, relay.active, relay.moved, relay.failed, relay.limited].map(String),
    ]),
  );
  if (relayed.length > 0) {
    parts.push(table(['PORT', 'RELAYED BY', 'ACCEPTED', 'ACTIVE', 'MOVED', 'FAILED', 'TURNED AWAY'], relayed));
  }
  if (service.problems.length > 0) parts.push(problemText(service.problems));
  return parts.join('\n\n');
}

function endpointRows(port: PortReport, nowMs: number): string[][] {
  const name = `${port.port}/${port.protocol}`;
  if (port.endpoints.length === 0) return [[name, colors.yellow('none')]];
  return port.endpoints.map((endpoint, i) => [
    i === 0 ? name : '',
    endpoint.address,
    endpoint.pod,
    endpoint.node,
    `${endpoint.connections}`,
    `${endpoint.active}`,
    endpoint.failures > 0 ? colors.yellow(`${endpoint.failures}`) : '0',
    `${endpoint.ejections}`,
    stateText(endpoint, nowMs),
  ]);
}

function stateText({ ejectedUntil, state }: PortReport['endpoints'][number], nowMs: number): string {
  const seconds = ejectedUntil === '' ? 0 : Math.ceil((Date.parse(ejectedUntil) - nowMs) / 1000);
  const ejected = seconds > 0 ? [colors.red(`for ${seconds} s more`)] : [];
  return [...ejected, ...(state === 'ready' ? [] : [state])].join(', ');
}

/** `80/TCP`, `80:30080/TCP`, as kubectl has it. */
function portText({ port, nodePort, protocol }: PortReport): string {
  return nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`;
}

/** The fewest of any port: endpoints may differ from port to port. */
function endpointCell(service: ServiceReport): string {
  if (service.type === 'ExternalName' || service.ports.length === 0) return '';
  const counts = service.ports.map(({ endpoints }) => endpoints.length);
  const fewest = Math.min(...counts);
  return fewest === 0 ? colors.yellow('none') : `${fewest}`;
}

function sum(service: ServiceReport, what: 'connections' | 'active'): number {
  return service.ports.flatMap(({ endpoints }) => endpoints).reduce((all, endpoint) => all + endpoint[what], 0);
}

function nameOf({ namespace, name }: ServiceReport): string {
  return `${namespace}/${name}`;
}

function problemText(lines: readonly string[]): string {
  return [colors.yellow('PROBLEMS'), ...new Set(lines)].join('\n');
}
