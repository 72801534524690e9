/** What a test's client needs to know of an API server without TLS: where it is, and a token. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Test } from 'tap';
import type { ApiAccess } from '../../src/kube/kubeconfig.ts';

export function apiAccess(server: string, token?: string, more: Partial<ApiAccess> = {}): ApiAccess {
  return {
    ...{ authority: undefined, certificate: undefined, key: undefined, tokenFile: undefined, serverName: undefined },
    ...{ server, token, insecure: false, namespace: 'default' },
    ...more,
  };
}

/** The address of one that takes requests and answers none. `onConnection`: somebody came. */
export async function silentServer(t: Test, onConnection: () => void = () => {}): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
