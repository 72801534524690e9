import t from 'tap';
import { table } from '../../src/observe/table.ts';

t.test('columns are aligned by what is visible', (t) => {
  t.equal(
    table(
      ['A', 'NAME', ''],
      [
        ['1', '\u001b[32mgreen\u001b[39m', 'x'],
        ['200', 'b', ''],
      ],
    ),
    ['A    NAME', '1    \u001b[32mgreen\u001b[39m  x', '200  b'].join('\n'),
  );
  t.end();
});
