/**
 * The variables by which a container finds services (k8s.io/kubernetes pkg/kubelet/envvars): those of its own
 * namespace, and always the API server's. They are what they are when the container starts.
 */
import type { ClusterService } from '../../control/model.ts';
import { formatAddress } from '../../wire/address.ts';

const API_SERVER = 'default/kubernetes';

/** `links` false (enableServiceLinks): the API server's alone. */
export function serviceVariables(
  services: ReadonlyMap<string, ClusterService>,
  namespace: string,
  links: boolean,
): Record<string, string> {
  const out: Record<string, string> = {};
  const api = services.get(API_SERVER);
  if (api) addVariables(api, out);
  if (!links) return out;
  // A service of that name in the namespace goes before the API server's.
  for (const service of services.values()) if (service.namespace === namespace) addVariables(service, out);
  return out;
}

function addVariables(service: ClusterService, out: Record<string, string>): void {
  const [address] = service.clusterIps;
  const [first] = service.ports;
  if (service.headless || address === undefined || first === undefined) return;
  const host = formatAddress(address);
  const name = variableName(service.name);
  out[`${name}_SERVICE_HOST`] = host;
  out[`${name}_SERVICE_PORT`] = `${first.port}`;
  for (const port of service.ports) {
    if (port.name !== '') out[`${name}_SERVICE_PORT_${variableName(port.name)}`] = `${port.port}`;
  }
  for (const { port, protocol } of service.ports) {
    const scheme = protocol.toLowerCase();
    const url = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    const prefix = `${name}_PORT_${port}_${protocol}`;
    Object.assign(out, {
      [prefix]: url,
      [`${prefix}_PROTO`]: scheme,
      [`${prefix}_PORT`]: `${port}`,
      [`${prefix}_ADDR`]: host,
    });
    if (port === first.port && protocol === first.protocol) out[`${name}_PORT`] = url;
  }
}

function variableName(text: string): string {
  const name = text.toUpperCase().replaceAll(/[-.]/g, '_');
  return /^\d/.test(name) ? `_${name}` : name;
}
