/** What people read of names: the explanation and the log. */
import t from 'tap';
import type { Explanation } from '../../src/dns/explain.ts';
import { explanationText, queryLogText } from '../../src/observe/dns-text.ts';

const answer = (type: 'A' | 'AAAA', rcode: string, ...records: string[]) => ({
  type,
  rcode,
  records,
  source: 'zone',
  ms: 1,
});
const missing = [answer('A', 'NXDOMAIN'), answer('AAAA', 'NXDOMAIN')];
const told: Explanation = {
  pod: 'default/client-0',
  name: 'www.example.com',
  nameservers: ['10.96.0.10'],
  search: ['default.svc.cluster.local'],
  ndots: 5,
  asksUs: true,
  tries: [
    { name: 'www.example.com.default.svc.cluster.local', by: 'search', answers: missing, found: false },
    {
      name: 'www.example.com',
      by: 'as is',
      answers: [answer('A', 'NOERROR', 'A 192.0.2.7'), answer('AAAA', 'NOERROR')],
      found: true,
    },
  ],
  completion: [{ name: 'www.example.com', result: 'NOERROR' }],
  completed: true,
};

t.test('an explanation', async (t) => {
  const text = explanationText(told);
  t.match(text, /5: www\.example\.com has 2 dots, so the search path comes first/);
  t.match(text, /1\s+www\.example\.com\.default\.svc\.cluster\.local\s+search\s+NXDOMAIN\s+NXDOMAIN\s+zone/);
  t.match(text, /2\s+www\.example\.com\s+as is\s+A 192\.0\.2\.7\s+none/);
  t.match(text, /the server completes it \(2 names tried for it\)/);
  const late = { name: 'www.example.com', result: 'no answer in time' };
  t.match(
    explanationText({ ...told, completed: false, completion: [late] }),
    /Found by question 2\. The server did not complete it: www\.example\.com: no answer in time/,
  );
  t.match(explanationText({ ...told, tries: told.tries.slice(0, 1) }), /not found: all 1 names/);
  t.match(explanationText({ ...told, asksUs: false }), /asks 10\.96\.0\.10, not the cluster's DNS/);
  t.match(explanationText({ ...told, name: 'www.example.com.' }), /a final dot/);
});

t.test('the log', async (t) => {
  t.equal(queryLogText([]), 'Nothing was asked.');
  const entry = {
    at: '2026-01-02T03:04:05.678Z',
    client: '10.244.1.5',
    pod: 'default/client-0',
    transport: 'udp',
    name: 'web.default.svc.cluster.local',
    type: 'A',
    rcode: 'NXDOMAIN',
    answers: [],
    source: 'zone',
    ms: 0.25,
    search: { name: 'web', step: 1, of: 4 },
    completion: [{ name: 'web.svc.cluster.local', result: 'NXDOMAIN' }],
  } as const;
  t.match(
    queryLogText([entry]),
    /03:04:05\.678\s+default\/client-0\s+web\S+\s+A\s+NXDOMAIN\s+zone\s+0\.\d\s+1 of 4 for web, then web\.svc\.cluster\.local NXDOMAIN/,
  );
});
