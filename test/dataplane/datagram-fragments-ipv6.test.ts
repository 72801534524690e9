/** The same as datagram-fragments.test.ts, in IPv6. */
import './use-ipv6.ts';
import './datagram-fragments.test.ts';
