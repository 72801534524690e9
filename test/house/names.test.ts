/**
 * Holds the rules about names and sizes: kebab-case files named by noun or stage, no names that explain nothing,
 * an opening paragraph, no file over 400 lines without a reason, nothing left behind in a hurry.
 */

import { basename } from 'node:path';
import t from 'tap';
import { filesBelow, readText } from './rooms.ts';

const LINES_AT_MOST = 400;
/** File to the reason why it is longer. */
const LONGER: Readonly<Record<string, string>> = {};

const sources = filesBelow('src', '.ts');
const tests = filesBelow('test', '.ts');
const native = ['.cc', '.h'].flatMap((ending) => filesBelow('native-bindings', ending));

t.test('files are named in kebab-case', async (t) => {
  const wrong = [...sources, ...tests].filter(
    (f) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.slow)?(\.test)?\.ts$/.test(basename(f)),
  );
  t.strictSame(wrong, []);
});

t.test('no name explains nothing', async (t) => {
  const empty = /(^|\/)(utils?|helpers?|common|misc|manager|types|index|shared|lib)(\.ts$|\/)/;
  t.strictSame(
    [...sources, ...tests, ...native].filter((f) => empty.test(f)),
    [],
  );
});

t.test(`no file has more than ${LINES_AT_MOST} lines without a reason`, async (t) => {
  const long = [...sources, ...native].filter((f) => readText(f).split('\n').length - 1 > LINES_AT_MOST);
  t.strictSame(
    long.filter((f) => !LONGER[f]),
    [],
  );
  t.strictSame(
    Object.keys(LONGER).filter((f) => !long.includes(f)),
    [],
    'every reason is still needed',
  );
});

t.test('a source file opens with a paragraph that says what it is', async (t) => {
  // What a .cc file is, its header says.
  const opening = [...sources, ...native].filter((f) => !native.includes(f.replace(/\.cc$/, '.h')) || f.endsWith('.h'));
  const wrong = opening.filter((f) => !/^(#!.*\n)?(#pragma once\n+)?(\/\*\*?|\/\/)\s*\S/.test(readText(f)));
  t.strictSame(wrong, []);
});

t.test('nothing was left for later', async (t) => {
  const left = /\b(TODO|FIXME|XXX|HACK)\b|@ts-ignore|@ts-nocheck|\bas any[;,)\]]/;
  const wrong = [...sources, ...native].filter((f) => left.test(readText(f)));
  t.strictSame(wrong, []);
});

t.test('no test is switched off or runs alone', async (t) => {
  const wrong = tests.filter((f) => /\bt\.(only|skip)\(|\bonly: true|\bskip: true/.test(readText(f)));
  t.strictSame(wrong, []);
});
