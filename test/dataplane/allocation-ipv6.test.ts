/** The same as allocation.test.ts, in IPv6. */
import './use-ipv6.ts';
import './allocation.test.ts';
