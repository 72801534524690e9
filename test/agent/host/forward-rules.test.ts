import t from 'tap';
import { forwardCommands } from '../../../src/agent/host/forward-rules.ts';

const chain = (policy: string, ...rules: string[]): string =>
  [
    ...['table ip filter {', '\tchain FORWARD { # handle 2'],
    `\t\ttype filter hook forward priority filter; policy ${policy};`,
    ...rules.map((rule, i) => `\t\t${rule} # handle ${i + 7}`),
    ...['\t}', '}', ''],
  ].join('\n');
const jump = 'counter packets 3 bytes 180 jump DOCKER-USER';
const own = ['oifname "weft0"', 'iifname "weft0"', 'iifname "weft-gso"'].map(
  (match) => `${match} counter packets 1 bytes 60 accept`,
);

t.test('a chain that lets everything through, or is not there, stays as it is', async (t) => {
  t.equal(forwardCommands('', true), '');
  t.equal(forwardCommands(chain('accept', jump), true), '');
});

t.test('a chain that forbids forwarding gets one rule for each way, once', async (t) => {
  const lines = forwardCommands(chain('drop', jump), true).trim().split('\n');
  t.same(lines, [
    'insert rule ip filter FORWARD iifname "weft-gso" counter accept',
    'add rule ip filter FORWARD iifname "weft0" counter accept',
    'add rule ip filter FORWARD oifname "weft0" counter accept',
  ]);
  t.equal(forwardCommands(chain('drop', ...own, jump), true), '', 'an agent that starts again finds them');
  t.match(forwardCommands(chain('drop', own[0] ?? '', jump), true), /^delete rule ip filter FORWARD handle 7\ninsert/);
});

t.test('our rules alone are taken away', async (t) => {
  const others = [
    'iifname "weft1" counter packets 0 bytes 0 accept',
    'iifname "weft0" counter packets 0 bytes 0 drop',
    'iifname "weft0" tcp dport 443 counter packets 0 bytes 0 accept',
    'ip saddr 10.0.0.0/8 oifname "weft0" counter packets 0 bytes 0 accept',
    'iifname "weft0" counter packets 0 bytes 0 accept comment "mine"',
  ];
  t.equal(
    forwardCommands(chain('drop', jump, ...own, ...others), false),
    [8, 9, 10].map((handle) => `delete rule ip filter FORWARD handle ${handle}\n`).join(''),
  );
  t.equal(forwardCommands(chain('drop', jump), false), '');
  t.equal(forwardCommands(chain('drop', ...own, ...others), true), '', 'others do not count as ours');
  t.not(forwardCommands(chain('drop', ...own.slice(1), own[1] ?? ''), true), '', 'nor one of ours for another');
});
