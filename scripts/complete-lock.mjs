/**
 * Completes package-lock.json with the optional packages of other platforms. npm leaves them out where the registry
 * in use does not carry them, and `npm ci` then refuses the file; with their entry present it only skips them.
 * Run it after a dependency was added: node scripts/complete-lock.mjs
 */
import { readFileSync, writeFileSync } from 'node:fs';

const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const CPU = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const added = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (path === '' || lock.packages[`node_modules/${name}`] || lock.packages[`${path}/node_modules/${name}`]) continue;
    const words = name.replace(/^@[^/]+\//, '').split('-');
    const os = OS.filter((o) => words.includes(o));
    const cpu = CPU.filter((c) => words.includes(c));
    if (name === 'fsevents') os.push('darwin');
    if (os.length + cpu.length === 0) throw new Error(`${name}: no platform in its name; add its entry by hand`);
    lock.packages[`node_modules/${name}`] = {
      version: version.replace(/^[^\d]*/, ''),
      ...(cpu.length > 0 && { cpu }),
      ...(entry.dev && { dev: true }),
      ...(words.at(-1) === 'musl' && { libc: ['musl'] }),
      license: entry.license,
      optional: true,
      ...(os.length > 0 && { os }),
    };
    added.push(name);
  }
}
const paths = Object.keys(lock.packages).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
lock.packages = Object.fromEntries(paths.map((p) => [p, lock.packages[p]]));
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added.length} entries added${added.length > 0 ? `: ${added.join(', ')}` : ''}`);
