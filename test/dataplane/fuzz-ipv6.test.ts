/** The same as fuzz.test.ts, in IPv6: extension headers and neighbour discovery included. */
import './use-ipv6.ts';
import './fuzz.test.ts';
