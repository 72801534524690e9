/**
 * The native addon's face, typed, and how it is found and loaded. It stands below every port that reaches a kernel
 * device: opening TUN devices and UDP sockets, waking a dataplane, and the engine that exchanges packet vectors. Safe
 * to load in the main thread and in workers side by side: the addon keeps its state per environment.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface TunOptions {
  /** Up to 15 characters; `%d` is replaced by the first free number. */
  readonly name: string;
  /** Path of the network namespace the device appears in, such as /run/netns/NAME; absent: the process's own. */
  readonly netns?: string;
  readonly kind: 'tun' | 'tap';
  /** Super-packets and partial checksums, with a vnet header in front of each packet. */
  readonly offloads: boolean;
  /** Also UDP tunnel segmentation (TAP only): the vnet header then has 24 bytes. */
  readonly tunnelGso?: boolean;
  /** The device outlives its descriptor, to be re-attached by name. */
  readonly persist?: boolean;
}

export interface TunDevice {
  readonly fd: number;
  readonly name: string;
  /** 0 without offloads. */
  readonly vnetHeaderBytes: number;
  /** TUN_F_* bits the kernel took (linux/if_tun.h). */
  readonly offloads: number;
}

export interface UdpOptions {
  readonly address: string;
  /** 0: the kernel chooses. */
  readonly port: number;
  readonly netns?: string;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly gso: boolean;
  readonly gro: boolean;
  /**
   * More than 1: as many sockets share the address. Of VXLAN packets each receives those whose inner destination
   * address, in its last 16 bits, modulo their number is the socket's index; the first one all else.
   */
  readonly sockets?: number;
  /** Inner IPv4 destination that always goes to the first of them, in host order. */
  readonly firstSocketsIp4?: number;
  /** The same in IPv6, by the address's last 32 bits. */
  readonly firstSocketsIp6?: number;
}

export interface UdpSocket {
  /** Of the first socket. */
  readonly fd: number;
  /** Of all of them. */
  readonly fds: readonly number[];
  readonly port: number;
  /** What the kernel granted: less than asked for where SO_RCVBUFFORCE is refused. */
  readonly receiveBufferBytes: number;
  readonly gso: boolean;
  readonly gro: boolean;
}

export interface TcpOptions {
  readonly family: 'ipv4' | 'ipv6';
  /** Where it connects from and to: path of a network namespace; '': the process's own. */
  readonly netns: string;
}

export interface NativeCapabilities {
  readonly tunnelGso: boolean;
  readonly udpSegment: boolean;
  readonly udpGro: boolean;
  readonly uso: boolean;
  /** IPv4 takes TCP super-packets of more than 65,535 bytes from a device (Linux 6.3). */
  readonly bigTcp: boolean;
  /** IPv6 takes them with a jumbo payload option. */
  readonly bigTcp6: boolean;
  /** Variant of the checksum in use: 'avx2', 'sse2' or 'scalar'. */
  readonly checksum: string;
}

export interface NativePort {
  /** Below 4096. */
  readonly id: number;
  /** Stays the caller's, who closes it after `detach`. Made non-blocking. */
  readonly fd: number;
  readonly kind: 'tun' | 'udp' | 'tap';
  /** As openTun told; 0 or absent means that segmentation and checksums are made in the addon. */
  readonly vnetHeaderBytes?: number | undefined;
  /** UDP: several datagrams in one send (UDP_SEGMENT). */
  readonly gso?: boolean | undefined;
  /** UDP: the socket was opened with UDP_GRO. Aggregates are recognized either way. */
  readonly gro?: boolean | undefined;
  /** UDP: bytes in front of the inner IP header, 22 for VXLAN with its inner Ethernet header. */
  readonly encapBytes?: number | undefined;
  /** UDP with trustPartial: largest inner IP packet. */
  readonly mtu?: number | undefined;
  /** UDP: a checksum field that equals its pseudo-header's sum is an unfinished one (same-machine underlays). */
  readonly trustPartial?: boolean | undefined;
  /** TUN: most payload bytes of consecutive IPv4 TCP super-packets that are written as one; above 65,535 with `bigTcp`. */
  readonly mergeBytes?: number | undefined;
  /** The same for IPv6, and `bigTcp6`. */
  readonly mergeBytes6?: number | undefined;
  /** Packets are sent to it, and never received: another engine does that. */
  readonly sendOnly?: boolean | undefined;
}

export interface EngineOptions {
  readonly arena: Uint8Array;
  readonly descriptors: Int32Array;
  readonly receiveBytes: number;
  readonly packets: number;
  readonly sparePackets: number;
  readonly headroomBytes: number;
  /** After a vector with packets, look for more for so long before sleeping; 0: sleep at once. */
  readonly busyPollMicros?: number;
  /** The descriptor layout; the engine refuses one it was not compiled for. */
  readonly fields: Readonly<Record<string, number>>;
  /** From openWaker, or -1. */
  readonly waker: number;
  /** At least `statNames.length` slots; may lie over a SharedArrayBuffer. */
  readonly stats: Float64Array;
}

export interface NativeEngine {
  attach(port: NativePort): void;
  /** Nothing when no such port is attached. */
  detach(id: number): void;
  /**
   * Transmits packets 0..count-1 whose outPort is not negative, waits up to `timeoutMs` (-1: no limit), receives.
   * Returns the packets received; 0 when woken or timed out.
   */
  txrx(count: number, timeoutMs: number): number;
  /** Monotonic milliseconds at the end of the last txrx. */
  nowMs(): number;
  close(): void;
}

export interface WindowSize {
  /** In characters, each from 1 to 65535. */
  readonly columns: number;
  readonly rows: number;
}

export interface Pty {
  /** Our end, which does not block. */
  readonly controller: number;
  /** The end that a command runs on. Both are the caller's to close. */
  readonly terminal: number;
}

export interface NativeAddon {
  openTun(options: TunOptions): TunDevice;
  openUdp(options: UdpOptions): UdpSocket;
  /** A TCP socket that does not block, not connected yet; the descriptor is the caller's. */
  openTcp(options: TcpOptions): number;
  /** Tries out what the kernel and the processor can do. */
  probe(): NativeCapabilities;
  /**
   * Whether super-packets leave the device of this name whole: plain TCP, and TCP inside of a UDP tunnel. Throws a
   * system error where the device is gone or does not tell.
   */
  deviceOffloads(device: string): { tcpSegmentation: boolean; tunnelSegmentation: boolean };
  /**
   * Sends one Ethernet frame, from the destination's MAC on, as it is; CAP_NET_RAW. Throws a system error where the
   * device is gone or takes none.
   */
  sendFrame(device: string, frame: Uint8Array): void;
  /** A pseudo-terminal (pty(7)). */
  openPty(size: WindowSize): Pty;
  /** By our end; what runs on the terminal is told by SIGWINCH. */
  resizePty(controller: number, size: WindowSize): void;
  openWaker(): number;
  /** From any thread. */
  wake(fd: number): void;
  closeFd(fd: number): void;
  /** flock(2), exclusive: false where another open file has it. Held until the descriptor is closed. */
  lockFile(fd: number): boolean;
  /**
   * Asks for huge pages for the whole ones (2 MB) that lie in the memory, which is best not written yet. Returns the
   * bytes in front of the first; a kernel that gives none is no error.
   */
  adviseHugePages(memory: Uint8Array): number;
  /** Folded ones-complement sum of big-endian 16-bit words, not inverted. `variant` is for tests. */
  checksum(bytes: Uint8Array, offset: number, length: number, initial: number, variant?: string): number;
  readonly Engine: new (options: EngineOptions) => NativeEngine;
  /** Names of the slots of an engine's `stats`. */
  readonly statNames: readonly string[];
}

/** The addon is missing or does not load. */
export class NativeAddonError extends Error {
  readonly code = 'WEFT_NATIVE_ADDON';
}

const ADDON_PATH = 'native-bindings/build/Release/weft_native.node';

/** Sources run from src/ and from dist/src/: the package's root is where its package.json is. */
function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'weft') return folder;
    if (folder === dirname(folder)) throw new NativeAddonError('native addon: no package.json of weft above this file');
  }
}

let loaded: NativeAddon | undefined;

/** Loads the addon once per thread. Throws NativeAddonError when it has not been built or cannot be loaded. */
export function loadNativeAddon(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const path = join(packageRoot(), ADDON_PATH);
  if (!existsSync(path)) throw new NativeAddonError(`native addon: ${path} is not built: run make build`);
  try {
    loaded = createRequire(import.meta.url)(path) as NativeAddon;
  } catch (cause) {
    throw new NativeAddonError(`native addon: ${path} does not load: run make build`, { cause });
  }
  return loaded;
}
