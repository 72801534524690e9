/**
 * A name server whose every answer is larger than a packet, until nobody asks for some seconds.
 *
 *     node large-answers.js ADDRESS PORT
 */
import { createSocket } from 'node:dgram';
import dnsPacket from 'dns-packet';

const PATIENCE_MS = 5000;
const socket = createSocket('udp4');
const end = setTimeout(() => process.exit(), PATIENCE_MS);
socket.on('message', (message, from) => {
  end.refresh();
  const query = dnsPacket.decode(message);
  const name = query.questions?.[0]?.name ?? '';
  const answer = dnsPacket.encode({
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE,
    questions: query.questions ?? [],
    answers: Array.from({ length: 15 }, (_, n) => ({
      ...{ type: 'TXT' as const, name, ttl: 5 },
      data: `${n}`.padEnd(220, '.'),
    })),
  });
  socket.send(answer, from.port, from.address);
});
socket.bind(Number(process.argv[3]), process.argv[2]);
