/** The same as fragments-fuzz.test.ts, in IPv6. */
import './use-ipv6.ts';
import './fragments-fuzz.test.ts';
