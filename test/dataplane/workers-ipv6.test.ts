/** The same as workers.test.ts, in IPv6. */
import './use-ipv6.ts';
import './workers.test.ts';
