/**
 * The dataplane's ports that every host has: weft0 into the host's own stack, the overlay's UDP socket (one for each
 * family that the underlay has), and with
 * tunnel GSO the TAP that sends for it. Opened and configured when the host's Node is first known, again in part
 * when it changes.
 */
import { isIPv4 } from 'node:net';
import { HOST_PORT, OVERLAY_PORT, OVERLAY_PORT_6, OVERLAY_TAP_PORT } from '../../control/compile.ts';
import type { Dataplane } from '../../dataplane/handle.ts';
import type { NativeAddon } from '../../io/native-addon.ts';
import { parseAddress, parseAddress4 } from '../../wire/address.ts';
import { AgentError, describeError, errnoOf } from '../agent-error.ts';
import { ipBatch } from '../command.ts';
import type { BackendName } from '../options.ts';
import {
  applyHostNetwork,
  GSO_DEVICE,
  gsoBatch,
  gsoSysctls,
  HOST_DEVICE,
  type HostFamily,
  type HostNetwork,
  writeSysctls,
} from './host-network.ts';
import { type Offload, type OffloadMode, PLAIN_MERGE_BYTES } from './offload.ts';
import { isSameMachine, segmentsTunnels, type Underlay } from './underlay.ts';

/** Asked of the kernel for the overlay's socket: less, and bursts of super-packets are lost. */
export const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024;
const SEND_BUFFER_BYTES = 4 * 1024 * 1024;
/** VXLAN and inner Ethernet, in front of the inner IP header. */
const ENCAP_BYTES = 22;
/** Ours on both ends: frames that we write to the TAP are addressed to itself. Locally administered. */
const GSO_MAC = [0x0a, 0x77, 0x65, 0x66, 0x74, 0x01];
/** A killed agent's descriptors are gone soon after it, not with it. */
const BUSY_PATIENCE_MS = 1000;

export interface HostConfig {
  backend: BackendName;
  network: HostNetwork;
  underlay: Underlay;
}

interface OpenPort {
  id: number;
  fds: readonly number[];
}

export class HostPorts {
  readonly #native: NativeAddon;
  readonly #dataplane: Pick<Dataplane, 'attach' | 'detach' | 'workers'>;
  readonly #offload: Offload;
  readonly #open = new Map<number, OpenPort>();
  #network = '';
  #overlay = '';
  #families: readonly HostFamily[] = [];
  #networkProblems: readonly string[] = [];
  #overlayProblems: string[] = [];

  constructor(native: NativeAddon, dataplane: Pick<Dataplane, 'attach' | 'detach' | 'workers'>, offload: Offload) {
    this.#native = native;
    this.#dataplane = dataplane;
    this.#offload = offload;
  }

  /** What could not be had but is no reason to stop, as sentences. */
  get problems(): readonly string[] {
    return [...this.#networkProblems, ...this.#overlayProblems];
  }

  /** What the host's kernel has of each family. */
  get families(): readonly HostFamily[] {
    return this.#families;
  }

  /** Changes whenever the host's addresses and routes were made anew. */
  get networkKey(): string {
    return this.#network;
  }

  /** How packets reach the underlay now. */
  get offloadMode(): OffloadMode {
    const { mode } = this.#offload;
    const hasTunnel = this.#open.has(OVERLAY_PORT) || this.#open.has(OVERLAY_PORT_6);
    return mode === 'tunnel-gso' && hasTunnel && !this.#open.has(OVERLAY_TAP_PORT) ? 'udp-gso' : mode;
  }

  /** Brings the host to this configuration; does nothing where it is there already. */
  async apply(config: HostConfig): Promise<void> {
    if (!this.#open.has(HOST_PORT)) await this.#openHostPort();
    const done = await Promise.allSettled([this.#applyNetwork(config), this.#applyOverlay(config)]);
    for (const result of done) if (result.status === 'rejected') throw result.reason;
  }

  async #applyNetwork({ network }: HostConfig): Promise<void> {
    const key = JSON.stringify(network);
    if (key === this.#network) return;
    const { families, problems } = await applyHostNetwork(network);
    this.#families = families;
    this.#networkProblems = problems;
    this.#network = key;
  }

  async #applyOverlay(config: HostConfig): Promise<void> {
    const key = JSON.stringify([config.backend, config.underlay, config.network.udpPort, config.network.mtu]);
    if (key !== this.#overlay) {
      await this.#closePort(OVERLAY_TAP_PORT);
      await this.#closePort(OVERLAY_PORT);
      await this.#closePort(OVERLAY_PORT_6);
      this.#overlayProblems = [];
      if (config.backend === 'vxlan') {
        const [first = '', ...others] = config.underlay.addresses;
        await this.#openOverlay(config, first);
        for (const address of others) await this.#openOther(config, address);
      }
      this.#overlay = key;
    }
    await this.#applyTap(config);
  }

  async #applyTap({ backend, underlay }: HostConfig): Promise<void> {
    const { mode, forced } = this.#offload;
    const wanted =
      backend === 'vxlan' && mode === 'tunnel-gso' && (forced || segmentsTunnels(this.#native, underlay.device));
    if (wanted && !this.#open.has(OVERLAY_TAP_PORT)) await this.#openTap();
    else if (!wanted) await this.#closePort(OVERLAY_TAP_PORT);
  }

  async #openHostPort(): Promise<void> {
    const device = await patiently(
      () => this.#native.openTun({ name: HOST_DEVICE, kind: 'tun', offloads: this.#offload.tun, persist: true }),
      'device-busy',
      `the device ${HOST_DEVICE} belongs to another agent on this host`,
      'stop that one first',
    );
    this.#open.set(HOST_PORT, { id: HOST_PORT, fds: [device.fd] });
    await this.#dataplane.attach({
      id: HOST_PORT,
      fd: device.fd,
      kind: 'tun',
      vnetHeaderBytes: device.vnetHeaderBytes,
      mergeBytes: Math.min(this.#offload.mergeBytes, PLAIN_MERGE_BYTES),
      mergeBytes6: Math.min(this.#offload.mergeBytes6, PLAIN_MERGE_BYTES),
    });
  }

  async #openOverlay(config: HostConfig, address: string): Promise<void> {
    const { udpPort, mtu } = config.network;
    const id = isIPv4(address) ? OVERLAY_PORT : OVERLAY_PORT_6;
    const { gso, gro } = this.#offload;
    const socket = await patiently(
      () =>
        this.#native.openUdp({
          address,
          port: udpPort,
          receiveBufferBytes: RECEIVE_BUFFER_BYTES,
          sendBufferBytes: SEND_BUFFER_BYTES,
          gso,
          gro,
          sockets: this.#dataplane.workers,
          firstSocketsIp4: parseAddress4(gatewayOf(config.network, true)) ?? 0,
          firstSocketsIp6: parseAddress(gatewayOf(config.network, false))?.[3] ?? 0,
        }),
      'port-busy',
      `UDP port ${udpPort} of ${address} is in use`,
      `find who has it with: ss -ulnp sport = :${udpPort}; or choose another on every host with --port`,
    );
    // Of two sockets once: they are granted the same.
    if (socket.receiveBufferBytes < RECEIVE_BUFFER_BYTES && this.#overlayProblems.length === 0) {
      this.#overlayProblems.push(
        `the overlay's receive buffer is ${socket.receiveBufferBytes} bytes where ${RECEIVE_BUFFER_BYTES} are wanted, ` +
          `so bursts may be lost: allow it with sysctl -w net.core.rmem_max=${RECEIVE_BUFFER_BYTES}, or run as root`,
      );
    }
    this.#open.set(id, { id, fds: socket.fds });
    await this.#dataplane.attach({
      id,
      fd: socket.fd,
      fds: socket.fds,
      kind: 'udp',
      gso: socket.gso,
      gro: socket.gro,
      encapBytes: ENCAP_BYTES,
      mtu,
      trustPartial: isSameMachine(config.underlay),
    });
  }

  /** The tunnel in the family that few hosts are reached in, or none. */
  async #openOther(config: HostConfig, address: string): Promise<void> {
    try {
      await this.#openOverlay(config, address);
    } catch (error) {
      this.#overlayProblems.push(`hosts that are reached at ${address} alone are not reached: ${describeError(error)}`);
    }
  }

  async #openTap(): Promise<void> {
    const device = await patiently(
      () => this.#native.openTun({ name: GSO_DEVICE, kind: 'tap', offloads: true, tunnelGso: true }),
      'device-busy',
      `the device ${GSO_DEVICE} belongs to another agent on this host`,
      'stop that one first',
    );
    this.#open.set(OVERLAY_TAP_PORT, { id: OVERLAY_TAP_PORT, fds: [device.fd] });
    writeSysctls(gsoSysctls());
    const mac = GSO_MAC.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
    await ipBatch([`link set dev ${GSO_DEVICE} address ${mac}`, ...gsoBatch()]);
    await this.#dataplane.attach({
      id: OVERLAY_TAP_PORT,
      fd: device.fd,
      kind: 'tap',
      vnetHeaderBytes: device.vnetHeaderBytes,
      tapMac: Uint8Array.from(GSO_MAC),
    });
  }

  async #closePort(id: number): Promise<void> {
    const port = this.#open.get(id);
    if (!port) return;
    this.#open.delete(id);
    await this.#dataplane.detach(id);
    for (const fd of port.fds) this.#native.closeFd(fd);
  }

  async close(): Promise<void> {
    for (const id of [...this.#open.keys()]) await this.#closePort(id);
  }
}

function gatewayOf(network: HostNetwork, isV4: boolean): string {
  return network.families.find((family) => family.isV4 === isV4)?.gateway ?? '';
}

async function patiently<T>(open: () => T, code: string, message: string, remedy: string): Promise<T> {
  const deadline = Date.now() + BUSY_PATIENCE_MS;
  for (;;) {
    try {
      return open();
    } catch (error) {
      const busy = ['EBUSY', 'EADDRINUSE'].includes(errnoOf(error));
      if (!busy) throw error;
      if (Date.now() >= deadline) throw new AgentError(code, message, remedy, error);
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}
