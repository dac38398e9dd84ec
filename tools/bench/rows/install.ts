/** Row: what an application has to install that only enqueues, and what `postlane` is beside it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesOf, installedFolders } from '../../client/installed.ts';
import { writeClient } from '../../client/package.ts';
import { finding, type Row } from './row.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const megabyte = 1e6;

export const install: Row = {
  id: 'install',
  title: 'what npm installs with `postlane-client`, and with `postlane`',
  sink: false,
  async run({ disposables, progress }) {
    progress('install: a build, and the sizes of files');
    const place = mkdtempSync(join(tmpdir(), 'postlane-install-'));
    disposables.defer('folder', () => rmSync(place, { recursive: true }));
    const [dist, folder] = [join(place, 'dist'), join(place, 'client')];
    const tsc = [join(root, 'node_modules/.bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', dist] as const;
    const { status, stdout } = spawnSync(tsc[0], tsc.slice(1), { cwd: root, encoding: 'utf8' });
    if (status !== 0) throw new Error(`tsc failed: ${stdout}`);
    mkdirSync(folder);
    const packages = writeClient(root, dist, folder);
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
    const [client, whole] = [
      [folder, ...installedFolders(root, packages)],
      [dist, ...installedFolders(root, Object.keys(dependencies))],
    ].map((folders) => ({ mb: bytesOf(folders) / megabyte, packages: folders.length }));
    if (client === undefined || whole === undefined) throw new TypeError('two lists were measured');
    return {
      findings: [
        finding(
          { what: 'installation of postlane-client', against: '', measured: client.mb, unit: 'MB' },
          { kind: 'at most', value: 30 },
          `${client.packages} packages; postlane without its documents: ${whole.mb.toFixed(1)} MB in ${whole.packages}`,
        ),
      ],
      figures: [],
    };
  },
};
