/**
 * Segmentation and coalescing of one 64 KB TCP super-packet: the addon's code (offloads.cc, compiled with its sources)
 * and the version that one would write first.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { do_not_optimize } from 'mitata';
import { figure, table } from './markdown.ts';
import * as naive from './naive.ts';
import { budget, callNanoseconds } from './timing.ts';

const PREFIX_BYTES = 22;
const HEADER_BYTES = PREFIX_BYTES + 40;
const SEGMENT_BYTES = 1398;
const SEGMENTS = 44;
const PAYLOAD_BYTES = SEGMENTS * SEGMENT_BYTES;
const SOURCES = ['segment', 'coalesce', 'inner_packet', 'checksum'].map((name) => `native-bindings/src/${name}.cc`);
const FLAGS = ['-O3', '-std=gnu++17', '-fno-exceptions', '-D_GNU_SOURCE', '-Inative-bindings/src'];

export async function offloads(): Promise<string> {
  const native = addonFigures();
  const packet = superPacket();
  const segments = naive.segment(packet, PREFIX_BYTES, SEGMENT_BYTES);
  if (segments.length !== native.segments) throw new Error(`${segments.length} segments, not ${native.segments}`);
  const whole = naive.coalesce(segments, PREFIX_BYTES);
  if (whole?.length !== packet.length) throw new Error('segments do not join into what they were cut from');
  const cut = await callNanoseconds(() => do_not_optimize(naive.segment(packet, PREFIX_BYTES, SEGMENT_BYTES)));
  const join = await callNanoseconds(() => do_not_optimize(naive.coalesce(segments, PREFIX_BYTES)));
  const row = (what: string, slow: number, fast: number) => [
    what,
    figure(slow),
    figure(fast),
    `${figure(slow / fast)} x`,
    figure(SEGMENT_BYTES / fast),
  ];
  const rows = [
    row('cut: headers and checksums of a segment', cut / SEGMENTS, native.segmentNs),
    row('join: compare and verify a segment', join / SEGMENTS, native.coalesceNs),
  ];
  return `## Segmentation and coalescing

Nanoseconds a segment of ${SEGMENT_BYTES} payload bytes, ${SEGMENTS} to a super-packet. Both of the addon's leave the
payload where it is, and read it once for the checksum.

${table(['', 'written first, JavaScript', 'addon', '', 'GB/s'], rows)}`;
}

function addonFigures(): { segments: number; segmentNs: number; coalesceNs: number } {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  try {
    const program = join(folder, 'offloads');
    execFileSync('g++', [...FLAGS, '-o', program, 'bench/micro/offloads.cc', ...SOURCES]);
    const said = execFileSync(program, [`${PAYLOAD_BYTES}`, `${SEGMENT_BYTES}`, `${budget.seconds}`]);
    return JSON.parse(said.toString()) as ReturnType<typeof addonFigures>;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As in offloads.cc. */
function superPacket(): Buffer {
  const packet = Buffer.alloc(HEADER_BYTES + PAYLOAD_BYTES);
  for (let i = HEADER_BYTES; i < packet.length; i++) packet[i] = (i * 131) & 0xff;
  packet[PREFIX_BYTES] = 0x45;
  packet.writeUInt16BE(40 + PAYLOAD_BYTES, PREFIX_BYTES + 2);
  packet[PREFIX_BYTES + 8] = 64;
  packet[PREFIX_BYTES + 9] = 6;
  packet.set([10, 244, 1, 10, 10, 244, 2, 10], PREFIX_BYTES + 12);
  packet.writeUInt16BE(40_000, PREFIX_BYTES + 20);
  packet.writeUInt16BE(5201, PREFIX_BYTES + 22);
  packet[PREFIX_BYTES + 32] = 0x50;
  packet[PREFIX_BYTES + 33] = 0x10;
  return packet;
}
