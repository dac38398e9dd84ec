/**
 * Adds to package-lock.json the binaries for other systems that npm left out of it.
 *
 * npm writes only what it could look up, and quietly drops an optional package that the registry at hand does not have (a
 * mirror that is behind, for example). Then `npm ci` refuses the lock on every machine, with «Missing: … from lock file».
 * What an entry needs is known without the registry: the version stands in the package that asks for it, the system in its
 * name. Such an entry has no integrity; the next lock that is written with the full registry brings it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const lockFile = fileURLToPath(new URL('../../package-lock.json', import.meta.url));
const lock = JSON.parse(readFileSync(lockFile, 'utf8'));
const added = complete(lock.packages);
if (added.length > 0) {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(lockFile, `${JSON.stringify(lock, null, 2)}\n`);
}
process.stdout.write(added.map((name) => `added ${name}\n`).join(''));

/**
 * @typedef {{ version?: string, dev?: boolean, optional?: boolean, os?: string[], cpu?: string[], libc?: string[],
 *   optionalDependencies?: Record<string, string> }} Entry
 * @param {Record<string, Entry>} packages changed in place
 * @returns {string[]} what was added
 */
function complete(packages) {
  /** @type {string[]} */
  const names = [];
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (packages[`node_modules/${name}`] !== undefined || packages[`${path}/node_modules/${name}`] !== undefined)
        continue;
      if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`${name}@${version} is a range; only npm can resolve it`);
      const { cpu, libc, os } = systemOf(name);
      const dev = entry.dev ? { dev: true } : {};
      // In npm's order of keys, so that npm does not move them around later.
      packages[`node_modules/${name}`] = { version, cpu, ...dev, ...libc, optional: true, os };
      names.push(`${name}@${version}`);
    }
  }
  return names;
}

/**
 * The naming that napi-rs and esbuild made common: os-cpu-abi at the end of the name.
 *
 * @param {string} name
 */
function systemOf(name) {
  const match =
    /(android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|x64|ia32|ppc64|riscv64|s390x)(-gnu|-musl)?/.exec(name);
  if (match === null) throw new Error(`${name}: its name tells no system; only npm can add it`);
  const [, os = '', cpu = '', abi] = match;
  const libc = abi === '-gnu' ? { libc: ['glibc'] } : abi === '-musl' ? { libc: ['musl'] } : {};
  return { cpu: [cpu], libc, os: [os] };
}
