/** Objects beside the default pods, for what the tests need. */

/** A service without a selector, its endpoints written down. */
export function endpointsOf(name: string, port: number, addresses: readonly string[]): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec:
  ports: [{port: ${port}}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: ${name}}
subsets:
  - addresses: [${addresses.map((ip) => `{ip: ${ip}}`).join(', ')}]
    ports: [{port: ${port}}]
`;
}

export const HEADLESS = `apiVersion: v1
kind: Service
metadata: {name: peers}
spec:
  clusterIP: None
  selector: {app: web}
  ports: [{name: http, port: 80}]
`;

export const NO_ENDPOINTS = `apiVersion: v1
kind: Service
metadata: {name: nobody}
spec:
  selector: {app: nobody}
  ports: [{name: tcp, port: 80}, {name: udp, protocol: UDP, port: 53}]
`;

export function sleeper(name: string, node: string): string {
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: weft, command: [sleep, infinity]}]
`;
}
