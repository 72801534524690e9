/** End to end, once more without root: the files that everything else stands on. The others are in the slow suite. */
import t from 'tap';
import { noUser, runAsUser } from './ordinary-user.ts';

t.test('as an ordinary user', { skip: noUser(), timeout: 400_000 }, (t) => runAsUser(t, ['commands']));
