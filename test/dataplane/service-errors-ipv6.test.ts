/** The same as service-errors.test.ts, in IPv6. */
import './use-ipv6.ts';
import './service-errors.test.ts';
