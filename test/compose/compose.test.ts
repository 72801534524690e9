/**
 * The compose lab from an empty machine: an engine, the image, three hosts and a fourth, every check of
 * `make compose-demo`, host-gw in place of VXLAN, and nothing left behind. Needs an engine or root; says so otherwise.
 */
import { join } from 'node:path';
import t from 'tap';
import { mustRun, run } from '../../src/lab/run.ts';
import { ROOT } from '../house/rooms.ts';
import { TwoMachines } from './another-machine.ts';
import { CHECKS } from './checks.ts';
import { ComposeLab } from './compose-lab.ts';
import { type Engine, findEngine } from './engine.ts';

const PROJECT = `weft-test-${process.pid}`;
const IMAGE = `${PROJECT}:latest`;
const UP_WITHIN_MS = 20_000;
const IMAGE_BYTES = 300e6;
/** What an agent, or a lab inside one container, needs to be allowed. */
const ALLOWED = ['--cap-add', 'NET_ADMIN', '--cap-add', 'SYS_ADMIN', '--device', '/dev/net/tun'];

const engine = await findEngine();
if (typeof engine === 'string') t.plan(0, engine);
else await testWith(engine);

async function testWith(engine: Engine): Promise<void> {
  const settings = { WEFT_IMAGE: IMAGE, WEFT_NETWORK: '172.31.240', WEFT_HOSTS: '4' };
  const env = { ...engine.env, ...settings, COMPOSE_PROJECT_NAME: PROJECT };
  const docker = { file: 'docker', args: [], env };
  const sh = { file: 'sh', args: [], env };
  const down = async (): Promise<void> => {
    await run(sh, [join(ROOT, 'compose/down.sh')], { timeoutMs: 60_000 });
    await run(docker, ['image', 'rm', '-f', IMAGE]);
    await engine.stop();
  };
  t.teardown(down);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void down().then(() => process.exit(1)));
  }

  await t.test('the image is built, small, and without what only building needs', async (t) => {
    const began = Date.now();
    await mustRun(sh, [join(ROOT, 'compose/build-image.sh')], { timeoutMs: 480_000 });
    t.comment(`built in ${((Date.now() - began) / 1000).toFixed(0)} s`);
    const size = async (name: string) =>
      Number(await mustRun(docker, ['image', 'inspect', '--format', '{{.Size}}', name]));
    const over = (await size(IMAGE)) - (await size(process.env.WEFT_BASE_IMAGE ?? 'node:20-bookworm-slim'));
    t.ok(over < IMAGE_BYTES, `${(over / 1e6).toFixed(0)} MB over the base`);
    const look =
      'command -v g++ c++ gcc cc make python3; ls -d /opt/weft/node_modules/typescript /opt/weft/node_modules/tap';
    const found = await run(docker, ['run', '--rm', '--network', 'none', '--entrypoint', 'sh', IMAGE, '-c', look]);
    t.equal(found.stdout, '', 'no compiler, no development package');
    t.match(await mustRun(docker, ['run', '--rm', '--network', 'none', IMAGE, 'version']), /^weft \d/);
  });

  await t.test('the image also runs a whole lab', async (t) => {
    await engine.isolate();
    const script = 'weft lab up --hosts 2 && weft lab exec client-0 -- curl -s http://web/hostname && weft lab down';
    const words = ['run', '--rm', '--init', '--network', 'none', ...ALLOWED, '--security-opt', 'apparmor=unconfined'];
    const said = await mustRun(docker, [...words, '--entrypoint', 'sh', IMAGE, '-c', script], { timeoutMs: 90_000 });
    t.match(said, /web-\d/);
    t.match(said, /lab default is down/);
  });

  const lab = new ComposeLab(env);
  await t.test('three hosts and a fourth are up soon', async (t) => {
    const began = Date.now();
    await lab.compose(['up', '-d', '--no-build']);
    await lab.untilAllAnswer();
    const ms = Date.now() - began;
    t.ok(ms < UP_WITHIN_MS, `every pod answers every other after ${(ms / 1000).toFixed(1)} s`);
    t.same(lab.hosts, ['hosta', 'hostb', 'hostc', 'hostd']);
    t.match((await lab.status('hostd')).underlay.address, '172.31.240.14');
    const capabilities = await lab.docker([
      'inspect',
      '--format',
      '{{.HostConfig.Privileged}}',
      lab.container('hosta'),
    ]);
    t.match(capabilities, 'false');
  });

  for (const [name, check] of CHECKS) {
    await t.test(name, async (t) => {
      const { ok, check: what, result, figure } = await check(lab);
      t.ok(ok, `${what}: ${result}${figure === '' ? '' : `; ${figure}`}`);
    });
  }

  await t.test('nothing is left of a lab that was taken down', async (t) => {
    await mustRun(sh, [join(ROOT, 'compose/down.sh')]);
    const filter = ['--filter', `label=com.docker.compose.project=${PROJECT}`, '-q'];
    t.equal(await mustRun(docker, ['ps', '-a', ...filter]), '');
    t.equal(await mustRun(docker, ['network', 'ls', ...filter]), '');
    t.equal(await mustRun(docker, ['volume', 'ls', ...filter]), '');
  });

  await t.test('host-gw, another VNI and manifests of one’s own', async (t) => {
    const own = { WEFT_BACKEND: 'host-gw', WEFT_VNI: '77', WEFT_HOSTS: '3', WEFT_MANIFESTS: './compose/manifests' };
    const lab = new ComposeLab({ ...env, ...own });
    await lab.compose(['up', '-d', '--no-build']);
    await lab.untilAllAnswer();
    t.match(await lab.status('hostb'), { backend: 'host-gw', vni: 77 });
    t.equal(lab.hosts.length, 3);
    for (const [name, check] of CHECKS.filter(([name]) => ['service', 'partition'].includes(name))) {
      const { ok, check: what, result, figure } = await check(lab);
      t.ok(ok, `${name}: ${what}: ${result}${figure === '' ? '' : `; ${figure}`}`);
    }
  });

  const alone = engine.isolated() === 0 && 'the network of an engine that is not the test’s own must not be changed';
  await t.test('a container and an agent on another machine, one folder of manifests', { skip: alone }, async (t) => {
    const machines = new TwoMachines(env, engine.isolated(), IMAGE);
    t.teardown(() => machines.down());
    await machines.up();
    await machines.untilWell();
    const ask = (pod: string, url: string) =>
      machines.inPod(pod, ['sh', '-c', `for i in 1 2 3 4; do curl -sS --max-time 5 ${url}/hostname; echo; done`]);
    for (const pod of ['client-0', 'client-1']) {
      t.same((await ask(pod, 'http://web')).trim().split('\n').sort(), ['web-0', 'web-0', 'web-1', 'web-1'], pod);
    }
    t.match(await machines.inPod('client-0', ['ping', '-c', '1', '-W', '2', '192.168.7.22']), / 0% packet loss/);
    await machines.onFirst(['docker', 'exec', 'weft', 'pkill', '-9', '-f', 'agent --node']);
    await machines.untilWell();
    t.match(await ask('client-1', 'http://web'), /web-0/, 'back after its agent was killed');
    await machines.onFirst(['docker', 'stop', 'weft']);
    t.notMatch(await machines.onFirst(['ip', '-br', 'link']), /weft/, 'nothing is left on the machine');
    t.notMatch(await machines.onFirst(['nft', 'list', 'ruleset']), /weft/);
  });
}
