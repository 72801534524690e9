import t from 'tap';
import { nearest } from '../../src/lab/nearest.ts';

t.test('the word that was meant', (t) => {
  const words = ['address', 'name', 'podCIDR'];
  t.equal(nearest('adress', words), 'address');
  t.equal(nearest('nmae', words), 'name', 'two letters swapped are one mistake');
  t.equal(nearest('podcidr', words), 'podCIDR');
  t.equal(nearest('banana', words), undefined);
  t.equal(nearest('x', []), undefined);
  t.end();
});
