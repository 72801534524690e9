/** What a host must offer, what is chosen of what it does, and how what lacks is named. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { chooseOffload, PLAIN_MERGE_BYTES } from '../../src/agent/host/offload.ts';
import { checkTool, checkTunDriver, missingCapabilities, requireChecks } from '../../src/agent/host-checks.ts';
import { OnceLog, plainLog } from '../../src/agent/log.ts';

t.test('capabilities by their bits', async (t) => {
  t.same(missingCapabilities('000001ffffffffff'), []);
  t.same(missingCapabilities('0'), ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_SYS_ADMIN']);
  t.same(missingCapabilities('0000000000003000'), ['CAP_SYS_ADMIN']);
});

t.test('each missing thing comes with what to do', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-checks-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  t.match(checkTunDriver(join(folder, 'tun')), { ok: false, detail: /ENOENT/, remedy: /modprobe tun/ });
  writeFileSync(join(folder, 'there'), '');
  t.match(checkTunDriver(join(folder, 'there')), { ok: true });
  const tool = checkTool('no-such-tool', 'nst', 'to test');
  t.match(tool, { ok: false, detail: 'missing; it is needed to test', remedy: /apt-get install nst/ });
  t.match(checkTool('sh', 'dash', 'to run'), { ok: true, remedy: '' });
  t.throws(() => requireChecks([checkTool('sh', 'dash', ''), tool, tool]), {
    code: 'host-not-ready',
    sentence: /program no-such-tool: missing.*apt-get install nst; program no-such-tool/,
  });
  t.doesNotThrow(() => requireChecks([{ ...tool, optional: true }]));
});

const ALL = {
  tunnelGso: true,
  bigTcp: true,
  bigTcp6: true,
  udpSegment: true,
  udpGro: true,
  uso: true,
  checksum: 'avx2',
};

t.test('the fastest way that is there, or the one asked for', async (t) => {
  t.match(chooseOffload('auto', ALL), { mode: 'tunnel-gso', gso: true, gro: true, tun: true });
  t.match(chooseOffload('auto', { ...ALL, tunnelGso: false }), { mode: 'udp-gso' });
  const none = { ...ALL, tunnelGso: false, udpSegment: false };
  t.match(chooseOffload('auto', none), { mode: 'batched', gso: false, gro: false, tun: false });
  t.match(chooseOffload('batched', ALL), { mode: 'batched', gso: false, gro: false, tun: false });
  t.throws(() => chooseOffload('tunnel-gso', none), { code: 'offload-missing' });
  t.equal(chooseOffload('auto', ALL).mergeBytes, 256 * 1024, 'of one connection at once');
  t.equal(chooseOffload('auto', { ...ALL, bigTcp: false }).mergeBytes, PLAIN_MERGE_BYTES, 'as an IPv4 length tells it');
  t.equal(chooseOffload('auto', { ...ALL, bigTcp6: false }).mergeBytes6, PLAIN_MERGE_BYTES, "as IPv6's does");
  t.equal(chooseOffload('batched', ALL).mergeBytes, 0);
  t.match(chooseOffload('auto', ALL).detail, 'tunnel GSO: yes, UDP GSO: yes, UDP GRO: yes; checksums by avx2');
});

t.test('a problem that lasts is told once, and when it is gone', async (t) => {
  const told: string[] = [];
  const once = new OnceLog(
    (m) => told.push(`+${m}`),
    (m) => told.push(`-${m}`),
  );
  once.update(['a', 'b']);
  once.update(['b', 'a']);
  once.update(['b', 'c']);
  once.update(['a']);
  t.same(told, ['+a', '+b', '+c', '-a', '+a', '-b', '-c']);
});

t.test('quieter levels say less', async (t) => {
  const lines: string[] = [];
  const log = plainLog('warn', (line) => lines.push(line));
  log.info('no');
  log.warn('yes');
  log.error('and this');
  t.match(lines, [/^\d\d:\d\d:\d\d\.\d{3} warn  yes\n$/, /error and this\n$/]);
});
