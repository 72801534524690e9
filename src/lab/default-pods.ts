/**
 * What runs in a lab that nobody gave manifests: on every host a web server and a client, and one service `web` over
 * all servers. Also the Node objects of hosts that no manifest defines. Both are written as YAML into the lab's own
 * manifest folder, where people find, read and change them.
 */
import type { LabHost } from './topology.ts';

/** `web-N` and `client-N` on the N-th host, and the service over the first kind. */
export function defaultPods(hosts: readonly LabHost[]): string {
  const documents = [
    `# A web server and a client on every host, and a service over the servers. Try:
#   weft lab exec client-0 -- curl -s http://web/hostname
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
    - name: http
      port: 80
      targetPort: http
    - name: udp
      protocol: UDP
      port: 8081
`,
  ];
  documents.push(...hosts.flatMap(exampleHostPods));
  return documents.join('---\n');
}

/** The two pods of the example on one host. */
export function exampleHostPods(host: LabHost, i: number): string[] {
  return [
    `apiVersion: v1
kind: Pod
metadata:
  name: web-${i}
  labels:
    app: web
spec:
  nodeName: ${host.name}
  containers:
    - name: web
      image: weft
      command: [weft, netexec, --http-port, "80", --udp-port, "8081"]
      ports:
        - name: http
          containerPort: 80
        - name: udp
          protocol: UDP
          containerPort: 8081
`,
    `apiVersion: v1
kind: Pod
metadata:
  name: client-${i}
  labels:
    app: client
spec:
  nodeName: ${host.name}
  containers:
    - name: client
      image: weft
      command: [sleep, infinity]
`,
  ];
}

/** One line for both, none where there is one alone. */
function listed(before: string, after: string, first: string, second: string | undefined): string {
  return second === undefined ? '' : `${before}${first}, "${second}"${after}`;
}

/** Node objects of hosts. */
export function nodeManifests(hosts: readonly LabHost[]): string {
  return hosts
    .map(
      (host) => `apiVersion: v1
kind: Node
metadata:
  name: ${host.name}
spec:
  podCIDR: ${host.podCidr}
${listed('  podCIDRs: [', ']\n', host.podCidr, host.podCidr6)}status:
  addresses:
    - type: InternalIP
      address: ${host.address}
${host.address6 === undefined ? '' : `    - type: InternalIP\n      address: ${host.address6}\n`}    - type: Hostname
      address: ${host.name}
`,
    )
    .join('---\n');
}
