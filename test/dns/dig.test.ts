/** The server as dig sees it, where dig is installed. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { startServer } from './socket-client.ts';

const run = promisify(execFile);
const present = await run('dig', ['-v']).then(
  () => true,
  () => false,
);

t.test('dig', { skip: present ? false : 'dig is not installed (bind9-dnsutils)' }, async (t) => {
  const server = await startServer(t);
  const dig = async (...words: string[]): Promise<string> => {
    const place = ['@127.0.0.1', '-p', String(server.port), '+tries=1', '+time=3'];
    return (await run('dig', [...place, ...words])).stdout;
  };
  t.equal(await dig('+short', 'web.default.svc.cluster.local'), '10.96.0.20\n');
  t.equal(await dig('+short', '+tcp', 'dual.default.svc.cluster.local', 'AAAA'), 'fd00:10::21\n');
  t.equal(
    await dig('+short', '_http._tcp.db.default.svc.cluster.local', 'SRV'),
    '0 50 5432 db-0.db.default.svc.cluster.local.\n0 50 5433 10-244-2-8.db.default.svc.cluster.local.\n',
  );
  t.equal(await dig('+short', '-x', '10.96.0.20'), 'web.default.svc.cluster.local.\n');
  t.equal(await dig('+short', '-x', 'fd00:10::21'), 'dual.default.svc.cluster.local.\n');
  t.equal(await dig('+short', 'dns-version.cluster.local', 'TXT'), '"1.1.0"\n');
  t.equal(await dig('+short', 'cluster.local', 'NS'), 'ns.dns.cluster.local.\n');
  t.equal((await dig('+short', 'crowd.default.svc.cluster.local')).split('\n').length, 201, 'TC, then over TCP');
  const nobody = await dig('nobody.default.svc.cluster.local');
  t.match(nobody, /status: NXDOMAIN/);
  t.match(
    nobody,
    /cluster\.local\.\s+5\s+IN\s+SOA\s+ns\.dns\.cluster\.local\. hostmaster\.cluster\.local\. \d+ 7200 1800 86400 5/,
  );
  t.notMatch(nobody, /malformed|extra bytes|parse error|mismatch/i);
  const empty = await dig('+bufsize=4096', 'default.svc.cluster.local');
  t.match(empty, /status: NOERROR/);
  t.match(empty, /ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 1/);
  t.match(empty, /EDNS: version: 0, flags:; udp: 1232/);
  t.match(await dig('+edns=1', '+noednsneg', 'cluster.local'), /status: BADVERS/);
  t.match(await dig('+opcode=notify', 'cluster.local'), /status: NOTIMP/);
  t.match(await dig('cluster.local', 'AXFR').catch((error: { stdout: string }) => error.stdout), /Transfer failed/);
  t.match(await dig('-c', 'CH', 'version.bind', 'TXT'), /status: REFUSED/);
});
