/** The same as forwarding.test.ts, in IPv6. */
import './use-ipv6.ts';
import './forwarding.test.ts';
