/**
 * The compose lab seen from outside: its containers by `docker-compose exec -T`, its pods by `weft exec` inside of
 * them, what its agents say and log. For the checks of `make compose-demo` and `make test-compose`.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentStatus, PodStatus } from '../../src/agent/status.ts';
import type { Entry } from '../../src/lab/exec.ts';
import { mustRun, type RunOptions, run } from '../../src/lab/run.ts';
import { ROOT } from '../house/rooms.ts';

export class ComposeLab {
  readonly env: NodeJS.ProcessEnv;
  hosts: readonly string[] = [];
  readonly #containers = new Map<string, string>();
  readonly #pods = new Map<string, { host: string; pod: PodStatus }>();
  service = '';

  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.env = env;
  }

  /** Which containers there are, until each says that it is well: by the same word as the engine's health check. */
  async untilReady(timeoutMs: number): Promise<void> {
    await this.#readContainers();
    const deadline = Date.now() + timeoutMs;
    for (const host of this.hosts) {
      const words = ['exec', this.container(host), '/opt/weft/compose/health.sh'];
      while ((await run({ file: 'docker', args: [], env: this.env }, words)).code !== 0) {
        if (Date.now() > deadline) throw new Error(`${host} is not ready after ${timeoutMs} ms`);
        await sleep(100);
      }
    }
  }

  /** Until every client pod is answered by every server pod. Asked by the engine itself: docker-compose takes a second. */
  async untilAllAnswer(): Promise<void> {
    const deadline = Date.now() + 60_000;
    const answered = (client: string): Promise<boolean> => {
      const pings = this.pods('web-').map((server) => `ping -q -c 1 -W 1 ${this.address(server)}`);
      const words = ['weft', 'exec', client, '--', 'sh', '-c', pings.join(' && ')];
      return this.docker(['exec', this.container(this.hostOf(client)), ...words]).then(
        () => true,
        () => false,
      );
    };
    await this.untilReady(60_000);
    await this.read();
    for (let open = this.pods('client-'); open.length > 0; ) {
      if (Date.now() > deadline) throw new Error(`after a minute still without answers: ${open.join(', ')}`);
      const answers = await Promise.all(open.map(answered));
      open = open.filter((_, i) => !answers[i]);
    }
  }

  /** Reads which hosts and pods there are; throws while an agent does not answer. */
  async read(): Promise<void> {
    await this.#readContainers();
    this.#pods.clear();
    const statuses = await Promise.all(this.hosts.map((host) => this.status(host)));
    for (const { node: host, pods, services } of statuses) {
      for (const pod of pods) this.#pods.set(pod.name, { host, pod });
      this.service = services.find(({ name }) => name === 'web')?.clusterIps[0] ?? '';
    }
  }

  async #readContainers(): Promise<void> {
    const ids = (await this.compose(['ps', '-q'])).trim().split('\n').filter(Boolean);
    if (ids.length === 0) throw new Error('no container runs');
    const format = '{{.Id}} {{index .Config.Labels "com.docker.compose.service"}}';
    const found = (await this.docker(['inspect', '--format', format, ...ids]))
      .trim()
      .split('\n')
      .map((l) => l.split(' '));
    this.#containers.clear();
    for (const [id = '', host = ''] of found) this.#containers.set(host, id);
    this.hosts = [...this.#containers.keys()].sort();
  }

  compose(args: readonly string[], options?: RunOptions): Promise<string> {
    return mustRun(this.#compose(), args, { timeoutMs: 120_000, ...options });
  }

  docker(args: readonly string[]): Promise<string> {
    return mustRun({ file: 'docker', args: [], env: this.env }, args);
  }

  container(host: string): string {
    const id = this.#containers.get(host);
    if (id === undefined) throw new Error(`there is no container of ${host}`);
    return id;
  }

  inHost(host: string): Entry {
    return { ...this.#compose(), args: [...this.#compose().args, 'exec', '-T', host] };
  }

  inPod(name: string): Entry {
    const entry = this.inHost(this.#pod(name).host);
    return { ...entry, args: [...entry.args, 'weft', 'exec', name, '--'] };
  }

  /** One of our small programs, in a pod; its JSON. */
  async tool<T>(pod: string, words: readonly string[], timeoutMs = 60_000): Promise<T> {
    const output = await mustRun(this.inPod(pod), ['weft', 'tool', ...words], { timeoutMs });
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as T;
  }

  pods(prefix: string): string[] {
    return [...this.#pods.keys()].filter((name) => name.startsWith(prefix)).sort();
  }

  hostOf(pod: string): string {
    return this.#pod(pod).host;
  }

  address(pod: string): string {
    return this.#pod(pod).pod.address;
  }

  async status(host: string): Promise<AgentStatus> {
    const words = ['exec', this.container(host), 'weft', 'status', '-o', 'json'];
    return JSON.parse(await this.docker(words)) as AgentStatus;
  }

  /** What a host's agent logged since then, without timestamps; `since` as an ISO date. */
  async logs(host: string, since: string): Promise<string[]> {
    const entry = { file: 'docker', args: [], env: this.env };
    const { stdout, stderr } = await run(entry, ['logs', '--since', since, this.container(host)]);
    return `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
  }

  /** The network's name, as the engine knows it. */
  async network(): Promise<string> {
    const format = '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}';
    return (await this.docker(['inspect', '--format', format, this.container(this.hosts[0] ?? '')])).trim();
  }

  #compose(): Entry {
    return { file: 'sh', args: [join(ROOT, 'compose/compose.sh')], env: this.env };
  }

  #pod(name: string): { host: string; pod: PodStatus } {
    const found = this.#pods.get(name);
    if (found === undefined) throw new Error(`there is no pod ${name}`);
    return found;
  }
}
