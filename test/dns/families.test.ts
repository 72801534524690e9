/** Both address families: what the zone says of dual-stack pods and services, and a server that answers at two addresses. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import t from 'tap';
import { ipv6Obstacle } from '../../src/agent/host/host-ipv6.ts';
import type { ClusterRecords } from '../../src/dns/cluster-records.ts';
import { TYPE } from '../../src/dns/codes.ts';
import { PodPaths } from '../../src/dns/search-path.ts';
import { buildZone } from '../../src/dns/zone.ts';
import { ask, ip, prefix, queryBytes, read } from './sample-cluster.ts';
import { framed, startServer } from './socket-client.ts';

const http = { name: 'http', protocol: 'TCP', port: 80 } as const;
const dual: ClusterRecords = {
  namespaces: ['default'],
  services: [
    {
      ...{ namespace: 'default', name: 'web', headless: false, ports: [http] },
      clusterIps: [ip('10.96.0.20'), ip('fd00:10:96::20')],
      endpoints: [],
    },
    {
      ...{ namespace: 'default', name: 'db', headless: true, ports: [http], clusterIps: [] },
      endpoints: ['10.244.1.5', 'fd00:10:244:1::105'].map((address) => ({
        address: ip(address),
        hostname: 'db-0',
        ports: [http],
      })),
    },
  ],
  pods: [
    { namespace: 'default', name: 'client-0', address: ip('10.244.1.7'), otherAddress: ip('fd00:10:244:1::107') },
    { namespace: 'default', name: 'four', address: ip('10.244.1.8') },
  ],
  reverse: [prefix('10.244.0.0/16'), prefix('fd00:10:244::/56'), prefix('fd00:10:96::/112')],
};
const zone = buildZone(dual, {
  ...{ domain: 'cluster.local', address: ip('10.96.0.10'), serial: 1 },
  otherAddresses: [ip('fd00:10:96::a')],
});
const data = (name: string, type: number) =>
  ask(name, type, zone).answers.map((record) =>
    'address' in record ? record.address : 'target' in record && record.target,
  );

t.test('addresses of both families, each under its type', async (t) => {
  t.same(data('web.default.svc', TYPE.a), [ip('10.96.0.20')]);
  t.same(data('web.default.svc', TYPE.aaaa), [ip('fd00:10:96::20')]);
  t.same(data('db.default.svc', TYPE.aaaa), [ip('fd00:10:244:1::105')]);
  t.same(data('db-0.db.default.svc', TYPE.a), [ip('10.244.1.5')]);
  t.same(data('db-0.db.default.svc', TYPE.aaaa), [ip('fd00:10:244:1::105')]);
  t.same(data('10-244-1-7.default.pod', TYPE.a), [ip('10.244.1.7')]);
  t.same(data('fd00-10-244-1--107.default.pod', TYPE.aaaa), [ip('fd00:10:244:1::107')]);
  t.same(data('ns.dns', TYPE.aaaa), [ip('fd00:10:96::a')]);
});

t.test('one SRV record for a target of both families, with both addresses beside it', async (t) => {
  const answer = ask('_http._tcp.db.default.svc', TYPE.srv, zone);
  t.equal(answer.answers.length, 1);
  t.same(
    answer.additionals.map((record) => record.type),
    [TYPE.a, TYPE.aaaa],
  );
});

t.test('names of addresses of both families', async (t) => {
  const arpa = (text: string) =>
    `${[
      ...ip(text)
        .map((word) => word.toString(16).padStart(8, '0'))
        .join(''),
    ]
      .reverse()
      .join('.')}.ip6.arpa.`;
  t.same(data(arpa('fd00:10:96::20'), TYPE.ptr), ['web.default.svc.cluster.local']);
  t.same(data(arpa('fd00:10:244:1::105'), TYPE.ptr), ['db-0.db.default.svc.cluster.local']);
  t.same(data(arpa('fd00:10:244:1::107'), TYPE.ptr), ['fd00-10-244-1--107.default.pod.cluster.local']);
});

t.test('a pod is known by each of its addresses, and asks the servers of its own families', async (t) => {
  const clusterDns = ['10.96.0.10', 'fd00:10:96::a'];
  const paths = new PodPaths(dual, { domain: 'cluster.local', clusterDns, hostResolvConf: '' });
  t.equal(paths.of('fd00:10:244:1::107')?.pod, 'default/client-0');
  t.equal(paths.of('10.244.1.7')?.pod, 'default/client-0');
  t.same(paths.named('client-0')?.nameservers, clusterDns);
  t.same(paths.named('four')?.nameservers, ['10.96.0.10']);
});

t.test('a server answers at all its addresses', { skip: ipv6Obstacle(1280) || false }, async (t) => {
  const server = await startServer(t, { otherAddresses: ['::1'] });
  const query = queryBytes('web.default.svc.cluster.local', TYPE.a);
  const wanted = [{ type: 'A', data: '10.96.0.20' }];
  const udp = createSocket('udp6');
  t.teardown(() => udp.close());
  const datagram = await new Promise<Buffer>((resolve) => {
    udp.once('message', resolve);
    udp.send(query, server.port, '::1');
  });
  t.match(read(datagram).answers, wanted);
  const stream = await new Promise<Buffer>((resolve) => {
    const socket = connect({ port: server.port, host: '::1' }, () => socket.end(framed(query)));
    const pieces: Buffer[] = [];
    socket.on('data', (piece) => pieces.push(piece));
    socket.on('close', () => resolve(Buffer.concat(pieces)));
  });
  t.match(read(stream.subarray(2)).answers, wanted);
  t.match(server.counters(), { queries: { udp: 1, tcp: 1 } });
  const taken = { address: '127.0.0.1', otherAddresses: ['192.0.2.1'] };
  await t.rejects(startServer(t, taken), /DNS server 192\.0\.2\.1:\d+: EADDRNOTAVAIL/, 'or at none');
});
