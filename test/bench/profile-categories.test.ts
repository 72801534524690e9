/** Samples of a profile: read from what perf prints, sorted by their stacks, summed by what was carried. */
import t from 'tap';
import { CATEGORIES, categoryOf } from '../../bench/profile-categories.ts';
import { agentFigures, isBusy, profileOf } from '../../bench/profile-figures.ts';
import { GROUPS, groupTables } from '../../bench/profile-groups.ts';
import { samplesOf } from '../../bench/profile-samples.ts';
import type { AgentStatus } from '../../src/agent/status.ts';

const AGENT = 26;
const agents = new Set([AGENT]);

/** As perf prints it: `k` frames are the kernel's, others name their file. */
function block(command: string, pid: number, frames: readonly (string | [string, string])[]): string {
  const lines = frames.map((frame) =>
    typeof frame === 'string'
      ? `\tffffffff81000000 ${frame} ([kernel.kallsyms])`
      : `\t    7f125c0afdb3 ${frame[0]} (${frame[1]})`,
  );
  return [`${command} ${pid}   1003009 `, ...lines, ''].join('\n');
}

function category(command: string, pid: number, frames: readonly (string | [string, string])[]) {
  const [sample] = samplesOf(`${block(command, pid, frames)}\n`);
  if (!sample) throw new Error('no sample was read');
  return categoryOf(sample, agents);
}

t.test('what perf prints is read, names with blanks and templates too', async (t) => {
  const text = [
    block('npm ci', 7, [['v8::Fun<int (*)(long)>::Call', '/usr/bin/node']]),
    block('swapper', -1, ['pv_native_safe_halt', 'do_idle']),
  ].join('\n');
  const samples = samplesOf(text);
  t.strictSame(
    samples.map(({ command, pid, seconds }) => ({ command, pid, seconds })),
    [
      { command: 'npm ci', pid: 7, seconds: 0.001003009 },
      { command: 'swapper', pid: 0, seconds: 0.001003009 },
    ],
  );
  t.strictSame(samples[0]?.frames, [
    { symbol: 'v8::Fun<int (*)(long)>::Call', object: '/usr/bin/node', kernel: false },
  ]);
});

t.test('the innermost frame that says something decides', async (t) => {
  t.equal(category('node', AGENT, ['_copy_from_iter', 'tun_get_user', 'vfs_write', 'do_syscall_64']), 'copying');
  t.equal(category('node', AGENT, ['__alloc_skb', 'tun_build_skb', 'tun_get_user']), 'memory');
  t.equal(category('node', AGENT, ['_raw_spin_lock', 'tun_net_xmit', 'dev_hard_start_xmit']), 'tun');
  t.equal(category('node', AGENT, ['vxlan_rcv', 'udp_rcv']), 'network');
  t.equal(category('iperf3', 40, ['tcp_ack', 'tcp_v4_rcv', 'ip_rcv']), 'transport');
  t.equal(category('iperf3', 40, ['skb_segment', 'tcp_gso_segment', '__dev_queue_xmit']), 'offloads');
  t.equal(category('iperf3', 40, ['_copy_from_user', '__sys_sendmsg', 'do_syscall_64']), 'calls');
});

t.test('giving way is polling whatever it leads to, waiting is scheduling', async (t) => {
  const yielding = ['finish_task_switch', '__schedule', 'schedule', 'do_sched_yield', '__x64_sys_sched_yield'];
  t.equal(category('node', AGENT, yielding), 'polling');
  t.equal(category('iperf3', 40, yielding), 'scheduling');
  t.equal(category('node', AGENT, ['finish_task_switch', '__schedule', 'schedule', 'do_epoll_wait']), 'scheduling');
  t.equal(category('node', AGENT, ['ep_send_events', 'do_epoll_wait']), 'polling');
});

t.test('a sample at the end of an interrupt is of what was interrupted', async (t) => {
  const interrupt = [
    'handle_softirqs',
    '__irq_exit_rcu',
    'sysvec_apic_timer_interrupt',
    'asm_sysvec_apic_timer_interrupt',
  ];
  t.equal(category('node', AGENT, [...interrupt, '_copy_to_iter', 'tun_do_read']), 'copying');
  t.equal(category('node', AGENT, [...interrupt, ['JS:*flow', '/tmp/perf-26.map']]), 'javascript');
  t.equal(category('node', AGENT, ['handle_softirqs', '__do_softirq', '__local_bh_enable_ip']), 'network');
});

t.test('sockets are the agents own, and the same functions of others are transport', async (t) => {
  t.equal(category('node', AGENT, ['udp_sendmsg', '____sys_sendmsg']), 'sockets');
  t.equal(category('traffic', 41, ['udp_sendmsg', '____sys_sendmsg']), 'transport');
});

t.test('user space of an agent by file, of others by what they are', async (t) => {
  t.equal(category('node', AGENT, [['JS:*parse', '/tmp/perf-26.map']]), 'javascript');
  t.equal(category('node', AGENT, [['Builtins_LoadIC', '/usr/bin/node']]), 'javascript');
  t.equal(category('node', AGENT, [['napi_call_function', '/usr/bin/node']]), 'runtime');
  const inAddon: [string, string] = ['weft::segment', '/x/weft_native.node'];
  t.equal(category('node', AGENT, [['__memmove_avx', '/lib/libc.so.6'], inAddon]), 'addon');
  t.equal(category('node', AGENT, [['writev', '/lib/libc.so.6'], inAddon]), 'calls');
  t.equal(category('node', AGENT, [['sched_yield', '/lib/libc.so.6'], inAddon]), 'polling');
  t.equal(category('iperf3', 40, [['main', '/usr/bin/iperf3']]), 'generator');
  t.equal(category('node', 2, [['uv_run', '/usr/bin/node']]), 'rest', 'the bench itself');
});

t.test('outside of the bench only the kernel’s own work on packets counts', async (t) => {
  t.equal(category(':0', 0, [['main', '/usr/bin/iperf3']]), 'others');
  t.equal(category(':0', 0, ['tcp_sendmsg', 'do_syscall_64']), 'others');
  t.equal(category('swapper', 0, ['veth_poll', 'net_rx_action', 'handle_softirqs', 'do_idle']), 'network');
  t.equal(category('swapper', 0, ['pv_native_safe_halt', 'do_idle']), 'idle');
  t.equal(category('kdamond.0', 0, ['folio_walk_start', 'kdamond_fn', 'kthread']), 'others');
});

t.test('time by what was carried, without what is idle or no part of it', async (t) => {
  const samples = samplesOf(
    [
      ...Array.from({ length: 3 }, () => block('node', AGENT, ['_copy_to_iter', 'tun_do_read'])),
      block('node', AGENT, [['JS:*flow', '/tmp/perf-26.map']]),
      block('swapper', 0, ['pv_native_safe_halt', 'do_idle']),
      block(':0', 0, [['main', '/usr/bin/other']]),
    ].join('\n'),
  );
  const row = { name: 'tcp-1', title: 'TCP', unit: 'Gbit/s', better: 'higher' as const };
  const from = {
    contender: { name: 'weft', title: 'Weft' } as Parameters<typeof profileOf>[0]['contender'],
    subject: { name: 'tcp-1', rows: [row], seconds: 1, measure: () => Promise.resolve(undefined) },
    measurement: { values: { 'tcp-1': 8 }, bytes: 2e9 },
    samples,
    agents,
    own: [],
  };
  const profile = profileOf(from);
  t.equal(profile.costUnit, 's/GB');
  t.equal(profile.value, 8);
  t.equal(profile.busySeconds.toFixed(6), (4 * 0.001003009).toFixed(6));
  const copying = profile.shares.find((s) => s.category === 'copying');
  t.equal(copying?.each.toFixed(9), ((3 * 0.001003009) / 2).toFixed(9));
  t.strictSame(copying?.functions, [{ name: '_copy_to_iter', part: 1 }]);
  t.strictSame(
    profile.shares.map((s) => s.category),
    CATEGORIES.map((c) => c.id),
  );
  t.notOk(isBusy('idle') || isBusy('others'));
  t.match(groupTables([profile]), /^\| copying to and from user space \| 0\.00150 \|$/m);
  t.match(groupTables([profile]), /^\| together \| \*\*0\.00201\*\* \|$/m);
  t.equal(profileOf({ ...from, measurement: { values: {}, packets: 1e6, bytes: 1 } }).costUnit, 'µs/packet');
  t.throws(() => profileOf({ ...from, measurement: { values: {} } }), /nothing was carried/);
});

t.test('what agents counted meanwhile', async (t) => {
  const status = (vectors: number, native: Record<string, number>) =>
    ({ counters: { gauges: { vectors }, native } }) as unknown as AgentStatus;
  const before = status(10, { rxPackets: 100, syscallsRead: 100, syscallsWrite: 100, syscallsPoll: 10 });
  const after = status(20, {
    ...{ rxPackets: 300, syscallsRead: 200, syscallsWrite: 250, syscallsPoll: 40 },
    ...{ coalescedSegments: 90, coalescedPackets: 3, mergedPackets: 7 },
  });
  t.match(agentFigures([before], [after]), [
    {
      vectors: 10,
      packetsPerVector: 20,
      systemCallsPerPacket: 1.25,
      pollsPerVector: 3,
      segmentsPerJoined: 30,
      mergedPackets: 7,
    },
  ]);
});

t.test('groups take every category that is work, each once', async (t) => {
  t.strictSame(
    GROUPS.flatMap((g) => g.categories).toSorted(),
    CATEGORIES.map((c) => c.id)
      .filter(isBusy)
      .toSorted(),
  );
});

t.test('a compiled function is named without the folder of its checkout', async (t) => {
  const text = `node 26 1003009 :\n      7f0000001000 JS:*parse file:///home/me/weft/dist/src/dataplane/stages/parse.js:34:22 (/tmp/perf-26.map)\n\n`;
  t.match(samplesOf(text), [{ frames: [{ symbol: 'JS:*parse src/dataplane/stages/parse.js:34:22', kernel: false }] }]);
});
