/** The same as services.test.ts, in IPv6. */
import './use-ipv6.ts';
import './services.test.ts';
