/**
 * Writes docs/typescript.md, the types of every export of the package, from tsc's declarations. A test fails when it is out of date,
 * so a change of the public surface is always seen in review.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { apiReport, entriesOf } from './report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'postlane-api-'));
try {
  const tsc = join(root, 'node_modules/.bin/tsc');
  const args = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', folder];
  const { status } = spawnSync(tsc, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error('tsc failed; its output is above.');
  const entries = entriesOf(readFileSync(join(root, 'package.json'), 'utf8'));
  writeFileSync(
    join(root, 'docs/typescript.md'),
    apiReport(entries, (path) => readFileSync(join(folder, path), 'utf8')),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
