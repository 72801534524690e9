/** nginx with its stream module, round robin, as many workers as processors. */
import { existsSync, writeFileSync } from 'node:fs';
import { TCP_PORTS } from '../contest.ts';
import { SERVICE } from './routed-network.ts';
import { ServiceProxy } from './service-proxy.ts';

/** Where Debian and Ubuntu have it. */
const MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

export class NginxStream extends ServiceProxy {
  override readonly name = 'nginx';
  override readonly title = 'nginx stream';
  protected readonly program = 'nginx';
  protected readonly versionFlag = '-v';

  override async missing(): Promise<string | undefined> {
    const why = await super.missing();
    if (why !== undefined || existsSync(MODULE)) return why;
    return `no ${MODULE}; make bench-peers installs it`;
  }

  protected configure(folder: string): { command: readonly string[]; about: string } {
    const servers = TCP_PORTS.map((port) => {
      const endpoints = this.endpoints.map((address) => `server ${address}:${port};`);
      return `  upstream port-${port} { ${endpoints.join(' ')} }
  server { listen ${SERVICE}:${port} reuseport backlog=4096; proxy_pass port-${port}; }`;
    });
    writeFileSync(
      `${folder}/nginx.conf`,
      `load_module ${MODULE};
daemon off;
user root;
worker_processes auto;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
stream {
  tcp_nodelay on;
${servers.join('\n')}
}
`,
    );
    const command = [this.program, '-p', folder, '-e', 'stderr', '-c', `${folder}/nginx.conf`];
    return { command, about: 'nginx in front of it on the service address, stream module, round robin, reuseport' };
  }
}
