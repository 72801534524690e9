/** The families as Services name them (core/v1 IPFamily). */
import { isV4, type Words } from '../wire/address.ts';

export type AddressFamily = 'IPv4' | 'IPv6';

export function familyOf(address: Words): AddressFamily {
  return isV4(address) ? 'IPv4' : 'IPv6';
}
