/** The same as segment-size.test.ts, in IPv6. */
import './use-ipv6.ts';
import './segment-size.test.ts';
