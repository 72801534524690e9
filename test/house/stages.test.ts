/**
 * Reads the stage files with the TypeScript parser and refuses what does not belong into a loop over packets:
 * closures, spread, destructured returns, generators, strings made at run time, BigInt, Map, try/catch, async,
 * subarray. Code that runs once, at the top level of the module, may do as it likes.
 */
import t from 'tap';
import ts from 'typescript';
import { filesBelow, readText } from './rooms.ts';

const FORBIDDEN_NAMES = new Set(['Map', 'Set', 'WeakMap', 'BigInt', 'Promise', 'Buffer', 'DataView']);
const FORBIDDEN_METHODS = new Set([
  'subarray',
  'slice',
  'map',
  'filter',
  'reduce',
  'forEach',
  'push',
  'concat',
  'entries',
  'keys',
  'values',
  'toString',
]);

/** What stands in a function body that costs an allocation or hides control flow, as `line: what`. */
export function unfitForPackets(path: string, text: string): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const report = (node: ts.Node, what: string) => {
    found.push(`${path}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${what}`);
  };
  const visit = (node: ts.Node, depth: number): void => {
    let inner = depth;
    if (ts.isFunctionLike(node) && 'body' in node && node.body) {
      if (depth > 0) report(node, 'closure');
      if ('asteriskToken' in node && node.asteriskToken) report(node, 'generator');
      if (ts.canHaveModifiers(node) && node.modifiers?.some((m) => m.kind === ts.SyntaxKind.AsyncKeyword)) {
        report(node, 'async');
      }
      // A constructor runs once.
      inner = ts.isConstructorDeclaration(node) ? depth : depth + 1;
    }
    if (depth > 0) {
      if (ts.isTypeNode(node)) return;
      if (ts.isTryStatement(node)) report(node, 'try/catch');
      if (ts.isSpreadElement(node) || ts.isSpreadAssignment(node)) report(node, 'spread');
      if (ts.isArrayBindingPattern(node)) report(node, 'array destructuring');
      // Taking fields of a long-lived object costs nothing; taking them of a call's result means it made one.
      if (ts.isObjectBindingPattern(node) && !namesObject(node.parent)) report(node, 'destructured return');
      if (ts.isObjectLiteralExpression(node)) report(node, 'object literal');
      if (ts.isArrayLiteralExpression(node)) report(node, 'array literal');
      if (ts.isTemplateExpression(node)) report(node, 'string');
      if (ts.isBigIntLiteral(node)) report(node, 'BigInt');
      if (ts.isNewExpression(node)) report(node, 'new');
      if (ts.isForOfStatement(node)) report(node, 'for of');
      if (ts.isForInStatement(node)) report(node, 'for in');
      if (ts.isIdentifier(node) && FORBIDDEN_NAMES.has(node.text)) report(node, node.text);
      if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
        const method = node.expression.name.text;
        if (FORBIDDEN_METHODS.has(method)) report(node, `${method}()`);
      }
    }
    ts.forEachChild(node, (child) => visit(child, inner));
  };
  visit(source, 0);
  return found;
}

function namesObject(declaration: ts.Node): boolean {
  if (!ts.isVariableDeclaration(declaration) || !declaration.initializer) return false;
  return ts.isIdentifier(declaration.initializer) || ts.isPropertyAccessExpression(declaration.initializer);
}

t.test('stages hold nothing that allocates or hides control flow', async (t) => {
  const stages = filesBelow('src/dataplane/stages', '.ts');
  t.ok(stages.length > 0, 'there are stages');
  t.strictSame(
    stages.flatMap((f) => unfitForPackets(f, readText(f))),
    [],
  );
});

t.test('the reader sees each of them', async (t) => {
  const inside = (body: string) => unfitForPackets('x.ts', `export function f(a: number[]): void { ${body} }`).length;
  for (const body of [
    'const g = () => 1;',
    'try { f(a); } catch { }',
    'const [b] = a;',
    'const { length } = f(a);',
    'const b = { c: 1 };',
    'const b = `${a}`;',
    'for (const b of a) f([b]);',
    'new Map();',
    'a.subarray(1);',
    'f([...a]);',
    'return 1n;',
  ]) {
    t.ok(inside(body) > 0, body);
  }
  t.equal(inside('const { length } = a; f(a);'), 0);
  t.equal(inside('let n = 0; for (let i = 0; i < a.length; i++) n += a[i];'), 0);
  t.strictSame(
    unfitForPackets('x.ts', 'const once = [1, 2].map((n) => n * 2); export function f() { return once; }'),
    [],
  );
});
