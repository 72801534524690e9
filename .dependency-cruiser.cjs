/**
 * The rooms of the house as import rules: a room imports only from rooms above it in this list, from the ground up.
 * test/house/imports.test.ts reads the same list and holds it without this tool.
 */
const ROOMS = [
  ['wire'],
  ['io'],
  ['tables'],
  ['dataplane'],
  ['kube'],
  ['control'],
  ['dns', 'relay', 'cni'],
  ['apiserver'],
  ['agent'],
  ['lab', 'observe', 'cli'],
];

const upward = ROOMS.slice(0, -1).map((rooms, i) => ({
  name: `${rooms.join('-')}-imports-only-from-above`,
  severity: 'error',
  from: { path: `^src/(${rooms.join('|')})/` },
  to: {
    path: `^src/(${ROOMS.slice(i + 1)
      .flat()
      .join('|')})/`,
  },
}));

module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'control-knows-no-dataplane',
      comment: 'tables/ is the only thing that control and dataplane share',
      severity: 'error',
      from: { path: '^src/(control|kube)/' },
      to: { path: '^src/dataplane/' },
    },
    {
      name: 'wire-imports-nothing',
      severity: 'error',
      from: { path: '^src/wire/' },
      to: { pathNot: '^src/wire/' },
    },
    {
      name: 'source-knows-no-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'raw-socket-is-optional',
      comment: 'NAN, one thread only, may not be compiled: imported lazily by the one file that probes',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: 'node_modules/raw-socket/', dynamic: false, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
  },
};
