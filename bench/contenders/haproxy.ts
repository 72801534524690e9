/** HAProxy, mode tcp, round robin, as many threads as processors. */
import { writeFileSync } from 'node:fs';
import { TCP_PORTS } from '../contest.ts';
import { SERVICE } from './routed-network.ts';
import { ServiceProxy } from './service-proxy.ts';

export class Haproxy extends ServiceProxy {
  override readonly name = 'haproxy';
  override readonly title = 'HAProxy';
  protected readonly program = 'haproxy';
  protected readonly versionFlag = '-v';

  protected configure(folder: string): { command: readonly string[]; about: string } {
    const listeners = TCP_PORTS.map((port) => {
      const servers = this.endpoints.map((address, i) => `  server s${i} ${address}:${port}`);
      return [`listen port-${port}`, `  bind ${SERVICE}:${port}`, ...servers].join('\n');
    });
    writeFileSync(
      `${folder}/haproxy.cfg`,
      `global
  maxconn 4000
defaults
  mode tcp
  balance roundrobin
  option splice-auto
  timeout connect 5s
  timeout client 1m
  timeout server 1m
${listeners.join('\n')}
`,
    );
    const command = [this.program, '-db', '-f', `${folder}/haproxy.cfg`];
    return { command, about: 'HAProxy in front of it on the service address, mode tcp, roundrobin, splice-auto' };
  }
}
