/** The same as corner-cases.test.ts, in IPv6. */
import './use-ipv6.ts';
import './corner-cases.test.ts';
