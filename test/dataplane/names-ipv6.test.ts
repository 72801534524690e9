/** The same as names.test.ts, in IPv6. */
import './use-ipv6.ts';
import './names.test.ts';
