/** The same as draining.test.ts, in IPv6. */
import './use-ipv6.ts';
import './draining.test.ts';
