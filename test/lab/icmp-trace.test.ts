import t from 'tap';
import { ECHO_6, echoRequest } from '../../src/agent/host/echo-socket.ts';
import { readAnswer, TRACE_6 } from '../../src/lab/icmp-trace.ts';

const ip = (protocol: number): Buffer => {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header[9] = protocol;
  return header;
};

t.test('an echo reply, and errors that quote our echo', (t) => {
  const request = echoRequest(0x1234, 7, 16);
  const reply = Buffer.from(request);
  reply[0] = 0;
  t.same(readAnswer(Buffer.concat([ip(1), reply])), { type: 0, id: 0x1234, sequence: 7 });
  for (const type of [11, 3]) {
    const error = Buffer.concat([ip(1), Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]), ip(1), request]);
    t.same(readAnswer(error), { type, id: 0x1234, sequence: 7 });
    for (let length = 0; length < 20 + 8 + 20 + 8; length++) {
      t.equal(readAnswer(error.subarray(0, length)), undefined, `cut to ${length} bytes`);
    }
  }
  t.equal(readAnswer(Buffer.concat([ip(1), request])), undefined, 'a request is no answer');
  t.end();
});

t.test('the same in ICMPv6, of which a raw socket gives no IP header', (t) => {
  const request = echoRequest(0x1234, 7, 16, ECHO_6);
  const reply = Buffer.from(request);
  reply[0] = 129;
  t.same(readAnswer(reply, TRACE_6), { type: 129, id: 0x1234, sequence: 7 });
  for (const type of [3, 1]) {
    const error = Buffer.concat([Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]), Buffer.alloc(40), request]);
    t.same(readAnswer(error, TRACE_6), { type, id: 0x1234, sequence: 7 });
    for (let length = 0; length < 8 + 40 + 8; length++) {
      t.equal(readAnswer(error.subarray(0, length), TRACE_6), undefined, `cut to ${length} bytes`);
    }
  }
  t.equal(readAnswer(request, TRACE_6), undefined, 'a request is no answer');
  t.end();
});
