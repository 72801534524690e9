/** What a resolver asks for, in order, by search path and ndots. */
import t from 'tap';
import { candidatesOf, searchedName, searchPathOf, stepOf } from '../../src/dns/search-path.ts';

const path = searchPathOf(
  'nameserver 10.96.0.10\nsearch ns.svc.Z svc.z z corp.example.\noptions edns0 ndots:5 timeout:1\n',
);
const names = (name: string, at = path) => candidatesOf(name, at).map((candidate) => candidate.name);

t.test('read from a resolv.conf', async (t) => {
  t.strictSame(path, {
    nameservers: ['10.96.0.10'],
    search: ['ns.svc.z', 'svc.z', 'z', 'corp.example'],
    ndots: 5,
  });
  t.equal(searchPathOf('').ndots, 1);
  t.equal(searchPathOf('options ndots:99\n').ndots, 15);
  t.equal(searchPathOf('options ndots:x ndots:\n').ndots, 1);
  t.strictSame(searchPathOf('search .\n').search, ['']);
});

t.test('candidates', async (t) => {
  t.strictSame(names('Web'), ['web.ns.svc.z', 'web.svc.z', 'web.z', 'web.corp.example', 'web']);
  t.strictSame(names('web.'), ['web']);
  t.strictSame(names('a.b.c.d.e').at(-1), 'a.b.c.d.e', 'four dots: the path first');
  t.strictSame(names('a.b.c.d.e.f')[0], 'a.b.c.d.e.f', 'five: as it is first');
  t.equal(names('a.b.c.d.e.f').length, 5);
  t.strictSame(names('web', searchPathOf('')), ['web']);
  t.strictSame(names('web', searchPathOf('search . z\n')), ['web', 'web.z', 'web']);
});

t.test('and back from a question', async (t) => {
  t.equal(searchedName('web.other.ns.svc.z', path), 'web.other');
  t.equal(searchedName('ns.svc.z', path), undefined);
  t.equal(searchedName('web.svc.z', path), undefined);
  t.equal(searchedName('a.b.c.d.e.f.ns.svc.z', path), undefined);
  t.strictSame(stepOf('web.ns.svc.z', path), { name: 'web', step: 1, of: 5 });
  t.strictSame(stepOf('web.other.svc.z', path), { name: 'web.other', step: 2, of: 5 });
  t.strictSame(stepOf('a.corp.example', path), { name: 'a', step: 4, of: 5 });
  t.equal(stepOf('www.example.com', path), undefined);
});
