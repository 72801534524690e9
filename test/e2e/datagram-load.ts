/**
 * Datagrams of one size to an echo server, many at once, each from a socket of its own. Prints how many came back as
 * they were sent.
 *
 *     node datagram-load.js ADDRESS PORT BYTES COUNT
 */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';

const [address = '', port = '', size = '', count = ''] = process.argv.slice(2);
const PATIENCE_MS = 5000;
const WORD = 'echo ';

function ask(): Promise<'good' | 'damaged' | 'lost'> {
  const bytes = Number(size) - WORD.length;
  const text = randomBytes(bytes).toString('base64').slice(0, bytes);
  const wanted = digest(text);
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
  return new Promise((resolve) => {
    const done = (result: 'good' | 'damaged' | 'lost') => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(done, PATIENCE_MS, 'lost');
    socket.once('message', (answer) => done(digest(answer.toString()) === wanted ? 'good' : 'damaged'));
    socket.once('error', () => done('lost'));
    socket.send(WORD + text, Number(port), address);
  });
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

const results = { good: 0, damaged: 0, lost: 0 };
for (const result of await Promise.all(Array.from({ length: Number(count) }, ask))) results[result]++;
console.log(JSON.stringify(results));
