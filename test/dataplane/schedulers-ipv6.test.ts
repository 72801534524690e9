/** The same as schedulers.test.ts, in IPv6. */
import './use-ipv6.ts';
import './schedulers.test.ts';
