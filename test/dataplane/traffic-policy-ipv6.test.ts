/** The same as traffic-policy.test.ts, in IPv6. */
import './use-ipv6.ts';
import './traffic-policy.test.ts';
