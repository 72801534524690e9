/** End to end, once more without root: what as-user.test.ts leaves out. */
import t from 'tap';
import { noUser, runAsUser } from './ordinary-user.ts';

t.test('as an ordinary user', { skip: noUser(), timeout: 900_000 }, (t) =>
  runAsUser(t, ['network', 'services', 'overlay', 'host-gw', 'ipv6', 'dns', 'dns-dataplane', 'fragments', 'demo']),
);
