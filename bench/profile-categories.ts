/**
 * What a sample of the processors belongs to: the first frame of its stack, from the innermost outwards, that one of
 * the rules knows. So memory that TCP takes counts as memory, and a spinlock counts as whatever took it. Pure.
 */

export interface Frame {
  readonly symbol: string;
  /** The file it is in; of the kernel, [kernel.kallsyms] or a module's name in brackets. */
  readonly object: string;
  readonly kernel: boolean;
}

export interface StackSample {
  readonly command: string;
  /** As the bench sees it; 0 is the kernel's own, or somebody outside of the bench. */
  readonly pid: number;
  readonly seconds: number;
  /** Innermost first. */
  readonly frames: readonly Frame[];
}

/** In the order of tables and plots: what a tunnel is about first, the rest last. */
export const CATEGORIES = [
  { id: 'copying', title: 'copying to and from user space' },
  { id: 'memory', title: "packets' memory: allocating, freeing" },
  { id: 'scheduling', title: 'scheduling and wake-ups' },
  { id: 'polling', title: 'busy polling: epoll and sched_yield' },
  { id: 'tun', title: 'TUN and TAP driver' },
  { id: 'sockets', title: "the agents' UDP sockets" },
  { id: 'calls', title: 'entry to system calls' },
  { id: 'javascript', title: 'JavaScript' },
  { id: 'runtime', title: 'V8 and its compiler, Node-API, libc' },
  { id: 'addon', title: 'the addon' },
  { id: 'offloads', title: "the kernel's segmentation, joining, checksums" },
  { id: 'network', title: "hosts' IP stack, veth, VXLAN device" },
  { id: 'transport', title: "pods' TCP and UDP" },
  { id: 'generator', title: "traffic generator's own code" },
  { id: 'interrupts', title: 'interrupts' },
  { id: 'rest', title: 'rest' },
  { id: 'others', title: 'no part of the bench' },
  { id: 'idle', title: 'idle' },
] as const;

export type Category = (typeof CATEGORIES)[number]['id'];

type Rule = readonly [Category, RegExp];

/** Of the kernel, tried in this order on each frame. A frame that none of them knows is left to its caller. */
const KERNEL_RULES: readonly Rule[] = [
  ['copying', /copy.*(_iter|datagram)|datagram_iter|csum_and_copy|^skb_copy|memcpy_(to|from)_(page|iter)|zerocopy/],
  [
    'scheduling',
    /^(__|_)?(schedule|wake_up|futex|do_futex)|try_to_wake|ttwu|wakelist|task_switch|^__switch_to|eventfd/,
  ],
  ['scheduling', /(en|de)queue_(task|entit)|pick_(next|task)|update_(curr|load)|^select_(task|idle)|^sched_(?!yield)/],
  [
    'scheduling',
    /resched|smp_call|hrtimer_(start|cancel|try|interrupt)|ep_(poll_callback|autoremove)|sock_def_(read|write)/,
  ],
  [
    'scheduling',
    /^(pollwake|autoremove_wake|prepare_to_wait|finish_wait|wait_woken|tick_|set_next|psi_|cpuacct|cpu_load)/,
  ],
  ['polling', /^(do_epoll_wait|ep_(send|item|poll|try|busy|done|start)|__ep_|__x64_sys_epoll_p?wait|tun_chr_poll)/],
  ['memory', /alloc|free|slab|kmem|page_frag|clear_(page|user)|rmqueue|mem_cgroup|memcg|obj_cgroup|folio|_pages?$/],
  ['memory', /^(exc_page_fault|handle_mm|consume_skb|skb_release|skb_attempt_defer|napi_consume|(__)?build_skb)/],
  ['memory', /^(charge_|try_charge|refill_|drain_)/],
  ['tun', /^(tun_|tap_|__tun|virtio_net_hdr)/],
  ['offloads', /segment|_gso|gso_|gro_|_gro|csum|checksum|validate_xmit/],
  ['network', /^(vxlan|udp_tunnel|iptunnel|ip_tunnel)/],
  [
    'sockets',
    /^(udp_(send|recv)msg|udp_send_skb|__?skb_recv_udp|__skb_recv|ip_(make|append|setup)|__ip_append|udp_cmsg)/,
  ],
  ['transport', /^(__)?(tcp|udp|inet|sk|sock|icmp|ping|raw|bictcp|cubictcp|bbr|release_sock|lock_sock)(_|$)/],
  [
    'network',
    /^(_|__)?(ip|ip4|ipv4|fib|nf|nft|ipt|xt|dst|rt|dev|netif|net|napi|veth|eth|loopback|neigh|arp|br|bpf)(_|$)/,
  ],
  ['network', /^(_|__)?(sch|qdisc|pfifo|skb|pskb|xmit|process_backlog|enqueue_to_backlog|gro_cell|get_rps)(_|$)/],
  ['network', /^(_|__)?(handle_softirqs|do_softirq|local_bh_enable|raise_softirq)(_|$)/],
  ['calls', /^(entry_|do_syscall|syscall_|__x64_sys|x64_sys|__se_sys|ksys_|__sys_|___sys_|core_sys|exit_to_user)/],
  ['calls', /^(fdget|__fget|fput|security_|vfs_|import_|__import|_copy_(from|to)_user|rw_verify|move_addr)/],
  ['calls', /^do_(iter|readv|writev|sendmsg|recvmmsg|pselect|select|sys_poll)/],
  ['interrupts', /sysvec|^(irq_|__irq|common_interrupt)/],
  ['idle', /^(default_idle|do_idle|cpu_startup|cpuidle|pv_native_safe_halt|acpi_idle|intel_idle|native_safe_halt)/],
];

/** Functions of libc that do nothing but enter the kernel. */
const CALL_STUBS =
  /^_*(GI_+)?(libc_)?(read|write|readv|writev|recvmmsg|sendmmsg|sendmsg|recvmsg|ioctl|syscall)(64)?(@|$)/;
const POLL_STUBS = /^_*(GI_+)?(libc_)?(sched_yield|epoll_p?wait2?)(@|$)/;

const GENERATORS = /^(iperf3|traffic|ping)/;
/** What the kernel does outside of any process: on behalf of packets, and in its threads. */
const KERNELS_OWN = /softirq|^(worker_thread|kthread|smpboot_thread_fn|do_idle|cpu_startup_entry)$/;

/** `agents`: processes that carry packets. */
export function categoryOf(sample: StackSample, agents: ReadonlySet<number>): Category {
  const { command, pid } = sample;
  const frames = behindInterrupt(sample.frames);
  const [innermost] = frames;
  if (!innermost) return 'rest';
  const isAgent = agents.has(pid);
  if (pid === 0 && !frames.some((f) => f.kernel && KERNELS_OWN.test(f.symbol))) return 'others';
  const isPart = isAgent || pid === 0 || GENERATORS.test(command);
  // Watches memory for the machine's owner, whatever runs.
  if (frames.some((f) => f.symbol.startsWith('kdamond'))) return 'others';
  if (!innermost.kernel) {
    if (isAgent) return userCategory(frames);
    return isPart ? 'generator' : 'rest';
  }
  // Whoever gives way on its own account does so to look again.
  if (isAgent && frames.some((f) => /sys_sched_yield$/.test(f.symbol))) return 'polling';
  for (const frame of frames) {
    if (!frame.kernel) break;
    const rule = KERNEL_RULES.find(([, pattern]) => pattern.test(frame.symbol));
    if (!rule) continue;
    const [category] = rule;
    if (category === 'sockets') return isAgent ? 'sockets' : 'transport';
    if (category === 'polling' || category === 'calls') return isAgent || GENERATORS.test(command) ? category : 'rest';
    return category;
  }
  return isAgent && frames.some((f) => !f.kernel) ? 'calls' : 'rest';
}

/**
 * A sample that was due while the clock's interrupt ran is taken when that one lets others in, at its end: the time is
 * of what both interrupted.
 */
function behindInterrupt(frames: readonly Frame[]): readonly Frame[] {
  const [innermost, caller] = frames;
  if (innermost?.symbol !== 'handle_softirqs' || !/irq_exit/.test(caller?.symbol ?? '')) return frames;
  const entry = frames.findIndex((f) => /^asm_(sysvec|common_interrupt)/.test(f.symbol));
  return entry < 0 || entry === frames.length - 1 ? frames : frames.slice(entry + 1);
}

function userCategory(frames: readonly Frame[]): Category {
  for (const { symbol, object } of frames) {
    if (/weft_native/.test(object)) return 'addon';
    if (/perf-\d+\.map|^\[JIT\]|^\/\/anon/.test(object) || /^Builtins_/.test(symbol)) return 'javascript';
    if (POLL_STUBS.test(symbol)) return 'polling';
    if (CALL_STUBS.test(symbol)) return 'calls';
    if (/\/node$/.test(object)) return 'runtime';
  }
  return 'runtime';
}
