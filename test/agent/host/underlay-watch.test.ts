/** The underlay's address that goes and comes: told once each time. */
import t from 'tap';
import { UnderlayWatch } from '../../../src/agent/host/underlay-watch.ts';

t.test('going and coming are told once each', async (t) => {
  let own = ['127.0.0.1', '172.31.0.12'];
  const told: string[] = [];
  const watch = new UnderlayWatch({ lost: () => told.push('lost'), back: () => told.push('back') }, () => own);
  t.teardown(() => watch.close());
  watch.follow('172.31.0.12');
  watch.look();
  t.same(told, []);
  t.equal(watch.problem(), '');
  own = ['127.0.0.1'];
  for (let i = 0; i < 3; i++) watch.look();
  t.same(told, ['lost']);
  t.match(watch.problem(), /^the InternalIP 172\.31\.0\.12 has left this host: /);
  own = ['172.31.0.12'];
  for (let i = 0; i < 3; i++) watch.look();
  t.same(told, ['lost', 'back']);
  t.equal(watch.problem(), '');
});

t.test('another address begins anew, and the real ones are looked at', async (t) => {
  const told: string[] = [];
  const watch = new UnderlayWatch({ lost: () => told.push('lost'), back: () => told.push('back') });
  t.teardown(() => watch.close());
  watch.follow('192.0.2.1');
  watch.look();
  t.same(told, ['lost']);
  watch.follow('127.0.0.1');
  t.equal(watch.problem(), '');
  watch.look();
  t.same(told, ['lost']);
});

t.test('what the device can do is looked at, and told when it changes', async (t) => {
  let traits = '';
  const told: string[] = [];
  const tell = (what: string) => () => told.push(what);
  const events = { lost: tell('lost'), back: tell('back'), changed: tell('changed') };
  const watch = new UnderlayWatch(
    events,
    () => ['192.0.2.1'],
    () => traits,
  );
  t.teardown(() => watch.close());
  watch.follow('192.0.2.1');
  watch.look();
  t.same(told, []);
  watch.follow('192.0.2.1');
  traits = 'whole';
  for (let i = 0; i < 3; i++) watch.look();
  t.same(told, ['changed']);
});
