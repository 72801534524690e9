/** End to end: `weft lab …` as people call it, exit codes, messages, several labs, and labs that were killed. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LabDir, listLabs } from '../../src/lab/lab-dir.ts';
import type { LabStatus } from '../../src/lab/lab-status.ts';
import { run } from '../../src/lab/run.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { noLab, ownHome, until, weft, without } from './test-lab.ts';

const skip = noLab();

t.test('commands', { skip, timeout: 400_000 }, async (t) => {
  const home = ownHome();
  const lab = (name: string) => new LabDir(name, join(home, 'labs'));

  t.test('words that are not understood', async (t) => {
    for (const [words, said] of [
      [['lap'], /unknown command 'lap'\n\(Did you mean lab\?\)/],
      [['lab', 'exek'], /unknown command 'exek'\n\(Did you mean exec\?\)/],
      [['lab', 'up', '--hosts', '0'], /a whole number from 1 to 200/],
      [['lab', 'up', '--host', '3'], /unknown option '--host'\n\(Did you mean --hosts\?\)/],
      [['lab', 'exec'], /missing required argument 'target'/],
      [['agent', '--vni', 'x'], /a whole number from 0 to 16777215/],
    ] as const) {
      const { code, stderr } = await weft(words);
      t.equal(code, 2, words.join(' '));
      t.match(stderr, said);
      t.match(stderr, /^weft: /);
    }
    for (const words of [['--help'], ['lab', '--help'], ['lab', 'up', '--help'], ['agent', '--help'], ['--version']]) {
      t.equal((await weft(words)).code, 0, words.join(' '));
    }
  });

  t.test('nothing is there yet', async (t) => {
    t.match(await weft(['lab', 'list']), { code: 0, stdout: /^no labs/ });
    t.match(await weft(['lab', 'status']), { code: 1, stderr: 'weft: no lab is up: weft lab up\n' });
    t.match(await weft(['lab', 'down']), { code: 0, stdout: /^no lab/ });
    t.match(await weft(['lab', 'exec', 'x', '--', 'true']), { code: 1, stderr: /^weft: no lab is up/ });
  });

  t.test('a lab file or manifests that are wrong: every mistake, nothing made', async (t) => {
    const file = join(home, 'lab.yaml');
    writeFileSync(file, 'hosts:\n  - name: a\n    address: 172.31.0.300\nbackends: vxlan\nmanifests: [pods.yaml]\n');
    const bad = await weft(['lab', 'up', file]);
    t.equal(bad.code, 1);
    t.equal(
      bad.stderr,
      `weft: ${file}:3: hosts[0].address: 172.31.0.300 is not an IPv4 address\n${file}:4: backends: unknown field; did you mean backend?\n`,
    );
    writeFileSync(file, 'manifests: [pods.yaml]\n');
    t.match(await weft(['lab', 'up', file]), { code: 1, stderr: /manifests: there is no .*pods\.yaml/ });
    writeFileSync(
      join(home, 'pods.yaml'),
      'kind: Pod\napiVersion: v1\nmetadata: {name: p}\nspec: {nodeName: mars, containers: [{name: c, command: [sleep, "9"]}]}\n',
    );
    t.match(await weft(['lab', 'up', file]), {
      code: 1,
      stderr: /pods\.yaml:\d+: Pod default\/p: spec\.nodeName: mars is no host of the lab/,
    });
    t.match(await weft(['lab', 'up', join(home, 'none.yaml')]), {
      code: 1,
      stderr: /none\.yaml cannot be read: ENOENT/,
    });
    t.same(listLabs(join(home, 'labs')), []);
  });

  t.test('a pod that fails is named with what it said, and nothing stays', async (t) => {
    const pods = join(home, 'failing.yaml');
    writeFileSync(
      pods,
      'kind: Pod\napiVersion: v1\nmetadata: {name: crash}\nspec:\n  nodeName: hosta\n  restartPolicy: Never\n' +
        '  containers: [{name: c, image: x, command: [sh, -c, "echo out of cheese; exit 3"]}]\n',
    );
    const failed = await weft(['lab', 'up', '--hosts', '1', '--manifests', pods]);
    t.equal(failed.code, 1);
    t.match(failed.stderr, /weft: pod default\/crash on hosta failed: .*3/);
    t.match(failed.stderr, /out of cheese/);
    t.same(listLabs(join(home, 'labs')), []);
    const image = join(home, 'image.yaml');
    writeFileSync(
      image,
      'kind: Pod\napiVersion: v1\nmetadata: {name: shop}\nspec: {nodeName: hosta, containers: [{name: c, image: shop/web}]}\n',
    );
    t.match(await weft(['lab', 'up', '--hosts', '1', '--manifests', image]), {
      code: 1,
      stderr: /Pod default\/shop on hosta cannot run: image shop\/web is not known; give a command/,
    });
    const kept = await weft(['lab', 'up', '--hosts', '1', '--manifests', pods, '--keep']);
    t.equal(kept.code, 1);
    t.match(await weft(['lab', 'logs', 'crash']), { code: 0, stdout: /out of cheese/ }, '--keep leaves it for a look');
    t.equal((await weft(['lab', 'down'])).code, 0);
  });

  t.test('one lab and another beside it', async (t) => {
    const up = await weft(['lab', 'up']);
    t.equal(up.code, 0, up.stderr);
    t.match(up.stdout, /3 agents ready[\s\S]*6 pods run[\s\S]*weft lab exec client-0/);
    t.match(await weft(['lab', 'up']), {
      code: 1,
      stderr: 'weft: lab default is up already: weft lab down --name default\n',
    });
    const second = await weft(['lab', 'up', '--hosts', '2', '--name', 'second']);
    t.equal(second.code, 0, second.stderr);
    const list = await weft(['lab', 'list', '-o', 'json']);
    t.match(JSON.parse(list.stdout), [
      { name: 'default', up: true, hosts: 3 },
      { name: 'second', up: true, hosts: 2 },
    ]);
    const status = JSON.parse((await weft(['lab', 'status', '-o', 'json'])).stdout) as LabStatus;
    t.equal(status.hosts.length, 3);
    t.ok(status.hosts.every((host) => host.status?.ready));
    t.match(
      (await weft(['lab', 'status', '--name', 'second'])).stdout,
      /hostb +172\.31\.0\.12 .*10\.244\.2\.0\/24 .*ready/,
    );
    t.match(await weft(['lab', 'logs', 'hosta', '--tail', '50']), { code: 0, stdout: /node hosta/ });
    t.match(await weft(['lab', 'exec', 'hosta', '--', 'weft', 'status']), { code: 0, stdout: /NODE +hosta/ });
    t.match(await weft(['lab', 'exec', 'hosta', '--', 'weft', 'doctor']), { code: 0, stdout: /✓ / });
  });

  t.test('exec passes everything on', async (t) => {
    t.equal((await weft(['lab', 'exec', 'client-0', '--', 'sh', '-c', 'exit 41'])).code, 41, 'the exit code');
    t.equal((await weft(['lab', 'exec', 'hosta', '--', 'sh', '-c', 'exit 42'])).code, 42, 'of a host too');
    t.equal((await weft(['lab', 'exec', 'client-0', '--', 'sh', '-c', 'kill -9 $$'])).code, 137, '128 + the signal');
    t.match(await weft(['lab', 'exec', 'client-0', '--', 'no-such-program']), { code: 127 });
    const echo = await weft(['lab', 'exec', 'default/client-0', '--', 'cat'], { input: 'one\ntwo\n' });
    t.same([echo.code, echo.stdout], [0, 'one\ntwo\n'], 'standard input');
    t.equal(
      (await weft(['lab', 'exec', 'client-0'], { input: 'echo from $(hostname)' })).stdout,
      'from client-0\n',
      'a shell',
    );
    t.equal((await weft(['lab', 'exec', 'hostb', 'hostname'])).stdout, 'hostb\n', 'without -- too');
    t.match(await weft(['lab', 'exec', 'client-00', '--', 'true']), {
      code: 1,
      stderr: /no host or pod client-00 in lab default; did you mean client-0\?/,
    });
    const environment = (await weft(['lab', 'exec', 'client-0', '--', 'env'])).stdout;
    t.match(environment, /^HOSTNAME=client-0$/m, "the pod's environment");
    t.notMatch(environment, /WEFT_HOME/, 'and not ours');

    const [file = '', ...args] = [...weftCommand(), 'lab', 'exec', 'client-0', '--'];
    const script = 'trap "echo got it; exit 9" TERM; echo ready; while :; do sleep 0.05; done';
    const signalled = await run({ file, args, env: process.env }, ['sh', '-c', script], {
      timeoutMs: 20_000,
      onOutput: (text, child) => {
        if (text.includes('ready')) child.kill('SIGTERM');
      },
    });
    t.same([signalled.code, signalled.stdout], [9, 'ready\ngot it\n'], 'signals');
  });

  t.test('exec on a terminal', { skip: without('script') }, async (t) => {
    const words = [
      ...weftCommand(),
      'lab',
      'exec',
      'client-0',
      '--',
      'sh',
      '-c',
      'test -t 0 && test -t 1 && echo a terminal',
    ];
    const entry = { file: 'script', args: [], env: process.env };
    const { stdout } = await run(entry, ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null']);
    t.match(stdout, /a terminal/);
  });

  t.test('a lab whose holder is killed ends whole, is found and cleaned', async (t) => {
    const holder = lab('second').holder();
    const agents = processesOf(lab('second').path);
    t.ok(agents.length >= 2, `${agents.length} processes name the lab`);
    process.kill(holder?.holder.pid ?? 0, 'SIGKILL');
    await until('all of its processes are gone', 10_000, async () => processesOf(lab('second').path).length === 0);
    t.match((await weft(['lab', 'list'])).stdout, /second +dead/);
    t.match(await weft(['lab', 'exec', '--name', 'second', 'hosta', '--', 'true']), {
      code: 1,
      stderr: /is not up, only what it left/,
    });
    t.match(await weft(['lab', 'down', '--name', 'second']), { code: 0, stdout: /lab second is down/ });
    t.notOk(existsSync(lab('second').path));
    t.match(await weft(['lab', 'down', '--name', 'second']), { code: 0, stdout: /no lab second/ }, 'twice is no error');
  });

  t.test('what is left of a killed lab does not hold up the next of its name', async (t) => {
    const holder = lab('default').holder();
    process.kill(holder?.holder.pid ?? 0, 'SIGKILL');
    const up = await weft(['lab', 'up', '--hosts', '1']);
    t.equal(up.code, 0, up.stderr);
    t.equal((await weft(['lab', 'down', '--all'])).code, 0);
    t.same(listLabs(join(home, 'labs')), []);
    t.same(readdirSync(join(home, 'labs')), [], 'not a file is left');
    t.same(processesOf(home), []);
  });

  t.test('a deep WEFT_HOME: sockets have short paths elsewhere', async (t) => {
    const deep = join(home, 'd'.repeat(100));
    mkdirSync(deep);
    process.env.WEFT_HOME = deep;
    t.teardown(() => {
      process.env.WEFT_HOME = home;
    });
    const up = await weft(['lab', 'up', '--hosts', '1']);
    t.equal(up.code, 0, up.stderr);
    const fallback = new LabDir('default', join(deep, 'labs')).socketFallback;
    t.ok(existsSync(fallback));
    t.equal((await weft(['lab', 'down'])).code, 0);
    t.notOk(existsSync(fallback));
  });
});

/** Processes whose command line has a word. */
function processesOf(word: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(word) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}
