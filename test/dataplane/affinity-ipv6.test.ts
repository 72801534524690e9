/** The same as affinity.test.ts, in IPv6. */
import './use-ipv6.ts';
import './affinity.test.ts';
