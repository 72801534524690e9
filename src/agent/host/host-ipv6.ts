/**
 * What IPv6 asks of a host's kernel beyond addresses and routes: that it has it at all, that it forwards, and that the
 * host nevertheless goes on learning its own routes from routers (RFC 4861: who forwards is a router and listens to no
 * other, unless told to).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const CONF = 'net/ipv6/conf';
/** Of every IPv6 link (RFC 8200, section 5). */
const LEAST_MTU = 1280;

export function hasIpv6(proc = '/proc/sys'): boolean {
  return existsSync(`${proc}/${CONF}/all`);
}

/** Why pods of this host get no IPv6 although their Node has a range for them; '' where nothing is in the way. */
export function ipv6Obstacle(podMtu: number, proc = '/proc/sys'): string {
  if (!hasIpv6(proc)) return 'the kernel has no IPv6, so that pods here use IPv4 alone';
  if (podMtu < LEAST_MTU) {
    return `pods have an MTU of ${podMtu}, IPv6 needs ${LEAST_MTU}, so that pods here use IPv4 alone`;
  }
  return '';
}

/**
 * Sysctls for forwarding, in the order in which they must be set: a device that accepts router advertisements goes on
 * accepting them (accept_ra 2), or its routes would go the moment forwarding is turned on.
 */
export function ipv6Sysctls(hostDevice: string, proc = '/proc/sys'): Record<string, string> {
  const out: Record<string, string> = {};
  for (const device of readdirSync(`${proc}/${CONF}`).sort()) {
    if (device !== 'all' && acceptsAdvertisements(`${proc}/${CONF}/${device}`)) {
      out[`${CONF}/${device}/accept_ra`] = '2';
    }
  }
  out[`${CONF}/all/forwarding`] = '1';
  // Where an engine turned IPv6 off for all devices to come, ours has it still.
  if (existsSync(`${proc}/${CONF}/${hostDevice}`)) out[`${CONF}/${hostDevice}/disable_ipv6`] = '0';
  return out;
}

/** A value of 1 ends with forwarding; 2 is forever, 0 never. */
function acceptsAdvertisements(folder: string): boolean {
  try {
    const value = (name: string) => readFileSync(`${folder}/${name}`, 'latin1').trim();
    return value('accept_ra') === '1' && value('forwarding') === '0';
  } catch {
    // It went meanwhile.
    return false;
  }
}
