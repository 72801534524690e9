/**
 * Holds the documents to the code: tables made from it are up to date, every link leads somewhere, and every file that
 * is named in passing exists.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { filesBelow, ROOT, readText } from './rooms.ts';

const documents = ['README.md', 'CHANGELOG.md', ...filesBelow('docs', '.md')];

t.test('tables made from the code are up to date', async (t) => {
  t.doesNotThrow(() => execFileSync(process.execPath, ['scripts/update-docs.mjs', '--check'], { cwd: ROOT }));
});

t.test('every link between documents leads somewhere', async (t) => {
  const broken = documents.flatMap((file) => {
    const links = [...readText(file).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    return links
      .filter(([, path = '', anchor]) => {
        const target = path === '' ? file : join(dirname(file), path);
        if (!existsSync(join(ROOT, target))) return true;
        return anchor !== undefined && !headings(readText(target)).includes(anchor);
      })
      .map(([link]) => `${file}: ${link}`);
  });
  t.strictSame(broken, []);
});

t.test('every file that a document names exists', async (t) => {
  const named = documents.flatMap((file) =>
    [...readText(file).matchAll(/`((?:src|test|bench|scripts|native-bindings|examples)\/[\w./-]*)`/g)].map(
      ([, path = '']) => ({ file, path }),
    ),
  );
  t.ok(named.length > 0, 'files are named at all');
  t.strictSame(
    named.filter(({ path }) => !existsSync(join(ROOT, path))).map(({ file, path }) => `${file}: ${path}`),
    [],
  );
});

/** Anchors as GitHub makes them of headings. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}
