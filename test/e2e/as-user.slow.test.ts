/** End to end, once more without root: the files that everything else stands on. */
import t from 'tap';
import { noUser, runAsUser } from './ordinary-user.ts';

const FILES = [
  ...['commands', 'network', 'services', 'overlay', 'host-gw'],
  ...['ipv6', 'ipv6-underlay.slow', 'dns', 'dns-dataplane', 'fragments.slow', 'demo', 'cluster'],
];

t.test('as an ordinary user', { skip: noUser(), timeout: 1_200_000 }, (t) => runAsUser(t, FILES));
