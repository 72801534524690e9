/**
 * A name server of the outside world, run in a namespace of its own: knows `host.example` and nothing else.
 *
 *     node fake-resolver.js ADDRESS
 */
import { createSocket } from 'node:dgram';
import dnsPacket from 'dns-packet';

const socket = createSocket('udp4');
socket.on('message', (message, from) => {
  const query = dnsPacket.decode(message);
  const question = query.questions?.[0];
  const known = question?.name === 'host.example';
  const answer = dnsPacket.encode({
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    // RD, RA; rcode 3 is NXDOMAIN.
    flags: 0x0180 | (known ? 0 : 3),
    questions: query.questions ?? [],
    answers: known && question.type === 'A' ? [{ type: 'A', name: question.name, ttl: 60, data: '198.51.100.7' }] : [],
  });
  socket.send(answer, from.port, from.address);
});
socket.bind(53, process.argv[2]);
