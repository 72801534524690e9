/** What tests on real devices need: a network namespace of their own, and a TUN device in it. */
import { execFileSync } from 'node:child_process';
import { loadNativeAddon } from '../../src/io/native-addon.ts';

const ip = (...words: string[]) => execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'] });

/** Why they cannot be had here, for tap's `skip`; false where they can. */
export function missingDevices(): string | false {
  const addon = loadNativeAddon();
  const name = `weft-probe-${process.pid}`;
  try {
    ip('netns', 'add', name);
    const { fd } = addon.openTun({ name: 'eth0', netns: `/run/netns/${name}`, kind: 'tun', offloads: false });
    addon.closeFd(fd);
    return false;
  } catch (e) {
    return `needs network namespaces and /dev/net/tun: ${(e as Error).message.trim()}`;
  } finally {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was never made.
    }
  }
}
