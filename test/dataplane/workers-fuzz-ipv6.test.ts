/** The same as workers-fuzz.test.ts, in IPv6. */
import './use-ipv6.ts';
import './workers-fuzz.test.ts';
