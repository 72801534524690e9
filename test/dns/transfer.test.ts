/** Zone transfers: whole, in several messages, to those who may and to nobody else. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { ip, prefix, queryBytes, read, sampleRecords, sampleZone } from './sample-cluster.ts';
import { framed, startServer, tcpAsk, udpAsk } from './socket-client.ts';

const AXFR = 252;
const ask = queryBytes('cluster.local', AXFR);

t.test('the whole zone, the SOA first and last', async (t) => {
  const server = await startServer(t, { transferTo: [prefix('127.0.0.0/8')] });
  const forward = [...sampleZone.names].filter(([name]) => name.endsWith('cluster.local'));
  const expected = forward.reduce((sum, [, records]) => sum + records.length, 0) + 1;
  const messages = (await tcpAsk(server.port, [framed(ask)], Math.ceil(expected / 100))).map(read);
  t.ok(messages.length > 3, `${messages.length} messages`);
  t.ok(messages.every((message) => message.id === 0x1234 && message.flag_aa && message.rcode === 0));
  const records = messages.flatMap((message) => message.answers ?? []);
  t.equal(records.length, expected);
  t.match([records[0], records.at(-1)], [{ type: 'SOA' }, { type: 'SOA' }]);
  t.equal(records.filter(({ type }) => type === 'SOA').length, 2);
  t.ok(records.every(({ name }) => name.endsWith('cluster.local')));
  t.match(server.counters(), { transfers: 1, queries: { tcp: 1 } });

  const reverse = read((await tcpAsk(server.port, [framed(queryBytes('96.10.in-addr.arpa', AXFR))], 1))[0]);
  t.match(reverse.answers?.[0], { name: '96.10.in-addr.arpa', type: 'SOA' });
  t.equal(reverse.answers?.filter(({ type }) => type === 'PTR').length, 3, 'a reverse zone');
  for (const name of ['example.com', 'svc.cluster.local']) {
    t.equal(read((await tcpAsk(server.port, [framed(queryBytes(name, AXFR))], 1))[0]).rcode, 9, `${name}: NOTAUTH`);
  }
  t.equal(read(await udpAsk(server.port, ask)).rcode, 5, 'not over UDP');
});

t.test('a large zone, to a client that reads late, with a question behind it', async (t) => {
  const pods = Array.from({ length: 40_000 }, (_, i) => ({
    namespace: 'default',
    name: `p${i}`,
    address: ip(`10.244.${i >> 8}.${i & 255}`),
  }));
  const records = { ...sampleRecords, services: [], pods };
  const server = await startServer(t, { records: () => records, transferTo: [prefix('127.0.0.1/32')] });
  const count = Math.ceil((40_000 + 6) / 100);
  const messages = await tcpAsk(server.port, [framed(ask), framed(queryBytes('cluster.local', 6))], count + 1);
  const transferred = messages.map(read).filter((message) => message.questions?.[0]?.type === 'AXFR');
  t.equal(transferred.length, count);
  t.equal(
    transferred.reduce((sum, message) => sum + (message.answers?.length ?? 0), 0),
    40_000 + 5,
    'two SOAs, NS, its address, TXT',
  );
});

t.test('refused to others', async (t) => {
  const closed = await startServer(t);
  t.equal(read((await tcpAsk(closed.port, [framed(ask)], 1))[0]).rcode, 5);
  const elsewhere = await startServer(t, { transferTo: [prefix('10.0.0.0/8')] });
  t.equal(read((await tcpAsk(elsewhere.port, [framed(ask)], 1))[0]).rcode, 5);
  t.equal(elsewhere.counters().transfers, 0);
});

t.test('dig takes it', async (t) => {
  const server = await startServer(t, { transferTo: [prefix('127.0.0.0/8')] });
  const words = ['@127.0.0.1', '-p', `${server.port}`, 'cluster.local', 'AXFR'];
  const dig = await promisify(execFile)('dig', words).catch((error: NodeJS.ErrnoException) => error);
  if (dig instanceof Error) {
    t.equal(dig.code, 'ENOENT', 'dig is not installed: nothing to see');
    return;
  }
  t.match(dig.stdout, /XFR size: \d{3,} records \(messages \d+, bytes \d+\)/);
  t.match(dig.stdout, /^dns-version\.cluster\.local\.\s+5\s+IN\s+TXT\s+"1\.1\.0"$/m);
});
