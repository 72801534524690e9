/** What neighbours are told when an address is here now: the frames, byte for byte, and how often. */
import { mock } from 'node:test';
import t from 'tap';
import { Announcer, announcement } from '../../../src/agent/host/announcer.ts';
import { parseAddress, parseMac, type Words } from '../../../src/wire/address.ts';
import * as icmpv6 from '../../../src/wire/icmpv6.ts';

const at = (text: string) => parseAddress(text) as Words;
const MAC = parseMac('02:00:00:00:00:07') as Uint8Array;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

t.test('an ARP announcement (RFC 5227): a request for the own address, to everybody', async (t) => {
  const arp = '0001080006040001' + '020000000007' + 'c0000207' + '000000000000' + 'c0000207';
  const frame = hex(announcement(at('192.0.2.7'), MAC));
  t.equal(frame, `ffffffffffff${'020000000007'}0806${arp}`.padEnd(120, '0'));
});

t.test('an unsolicited advertisement (RFC 4861 7.2.6): override, the MAC, to all nodes', async (t) => {
  const frame = announcement(at('fd00:31::7'), MAC);
  const text = hex(frame);
  const address = 'fd000031000000000000000000000007';
  t.equal(text.slice(0, 28), '33330000000102000000000786dd');
  t.equal(text.slice(28, 28 + 80), `6000000000203aff${address}ff020000000000000000000000000001`);
  t.match(text.slice(108), new RegExp(`^8800[0-9a-f]{4}20000000${address}0201020000000007$`));
  t.ok(icmpv6.checksumValid(frame, 14, 54, 32));
});

t.test('those that are still ours are announced again; a device that takes nothing is no fault', async (t) => {
  const sent: string[] = [];
  const native = {
    sendFrame: (device: string, frame: Uint8Array) => void sent.push(`${device} ${hex(frame.slice(28, 32))}`),
  };
  const announcer = new Announcer(native, () => MAC);
  const second = at('192.0.2.8');
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  announcer.announce('eth0', [at('192.0.2.7'), second], (address) => address === second);
  t.same(sent.splice(0), ['eth0 c0000207', 'eth0 c0000208']);
  for (let i = 0; i < 5; i++) mock.timers.tick(2000);
  t.same(sent, ['eth0 c0000208', 'eth0 c0000208']);
  const broken = new Announcer(
    {
      sendFrame: () => {
        throw new Error('ENETDOWN');
      },
    },
    () => MAC,
  );
  t.doesNotThrow(() => broken.announce('eth0', [at('192.0.2.7')]));
  new Announcer(native, () => undefined).announce('tun0', [at('192.0.2.7')]);
  t.equal(sent.length, 2, 'who has no MAC has no neighbours');
});
