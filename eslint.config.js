/**
 * Only the rules that need types; biome does the rest. A promise that nobody awaits hides a failure, and a check
 * that cannot fail hides a wrong belief about the data.
 */
import { parser, plugin } from 'typescript-eslint';

export default [
  { ignores: ['dist/', 'node_modules/', 'native-bindings/', '**/*.mjs', '**/*.js', '**/*.cjs'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'],
    languageOptions: {
      parser,
      parserOptions: { project: ['./tsconfig.json', './tsconfig.hot.json'], tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { '@typescript-eslint': plugin },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-for-in-array': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/no-unsafe-argument': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': 'error',
      '@typescript-eslint/restrict-plus-operands': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  // commander hands options over untyped; each action says what it takes.
  { files: ['src/cli/*-commands.ts'], rules: { '@typescript-eslint/no-unsafe-argument': 'off' } },
  // tap's t.test() returns a promise that the runner itself awaits.
  { files: ['test/**/*.ts'], rules: { '@typescript-eslint/no-floating-promises': 'off' } },
];
