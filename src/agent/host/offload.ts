/**
 * How packets are moved in bulk on this kernel: the fastest way that it offers, found by trying.
 *
 *   tunnel-gso   whole super-packets through a TAP with tunnel segmentation, for devices that take them so; others
 *                are served by udp-gso
 *   udp-gso      super-packets cut by us, sent and received in bulk (UDP_SEGMENT, UDP_GRO)
 *   batched      one packet at a time, many per system call
 */
import type { NativeAddon } from '../../io/native-addon.ts';
import { AgentError } from '../agent-error.ts';
import type { OffloadRequest } from '../options.ts';

export type OffloadMode = Exclude<OffloadRequest, 'auto'>;
export type Probe = ReturnType<NativeAddon['probe']>;

export interface Offload {
  mode: OffloadMode;
  /** Asked for by name, and not chosen by what there is. */
  forced: boolean;
  /** Of the UDP socket. */
  gso: boolean;
  gro: boolean;
  /** Of the TUN devices. */
  tun: boolean;
  /** Most bytes of one connection that go into a pod at once, in IPv4 and in IPv6. */
  mergeBytes: number;
  mergeBytes6: number;
  /** What was found, as a sentence. */
  detail: string;
}

/** More brings little, and would leave the processor's cache. */
const MERGE_BYTES = 256 * 1024;
/** For whoever may carry them on: a packet that every device knows. */
export const PLAIN_MERGE_BYTES = 64_000;

export function chooseOffload(requested: OffloadRequest, probe: Probe): Offload {
  const has = {
    'tunnel-gso': probe.tunnelGso && probe.udpGro,
    'udp-gso': probe.udpSegment && probe.udpGro,
    batched: true,
  };
  const mode =
    requested === 'auto' ? ((Object.keys(has) as OffloadMode[]).find((m) => has[m]) ?? 'batched') : requested;
  const found =
    `kernel offers tunnel GSO: ${yes(probe.tunnelGso)}, UDP GSO: ${yes(probe.udpSegment)}, ` +
    `UDP GRO: ${yes(probe.udpGro)}; checksums by ${probe.checksum}`;
  if (!has[mode])
    throw new AgentError('offload-missing', `--offload ${mode} is not to be had (${found})`, 'use --offload auto');
  const full = mode !== 'batched';
  const merge = (big: boolean) => (!full ? 0 : big ? MERGE_BYTES : PLAIN_MERGE_BYTES);
  return {
    mode,
    forced: requested !== 'auto',
    gso: full && probe.udpSegment,
    gro: full,
    tun: full,
    mergeBytes: merge(probe.bigTcp),
    mergeBytes6: merge(probe.bigTcp6),
    detail: found,
  };
}

function yes(value: boolean): string {
  return value ? 'yes' : 'no';
}
