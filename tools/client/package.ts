/** Makes the package `postlane-client` of a build of `postlane`: the same files, as far as an application needs them. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { clientEntries, clientFiles } from './files.ts';

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly [field: string]: unknown;
}

const readme = `# postlane-client

What an application needs to send by [Postlane](https://github.com/postlane/postlane): the producer, the transport for nodemailer, and the insert of a transactional outbox.
It has the code of the package \`postlane\` of the same version, without the worker and its libraries.

\`\`\`ts
import { createProducer } from 'postlane-client';

const producer = createProducer({ redis: { url: 'redis://127.0.0.1:6379' } });
await producer.send({ from: 'app@example.com', to: 'a@example.net', subject: 'Hi', text: '…' });
\`\`\`

\`postlane-client/nodemailer\` has \`postlaneTransport\`, and \`postlane-client/outbox\` has \`outboxInsert\`.
`;

/**
 * Writes the package to `folder`, ready for `npm pack`. `dist` is a build of the repository at `root`.
 *
 * @returns the names of its dependencies
 */
export function writeClient(root: string, dist: string, folder: string): readonly string[] {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const exported = clientEntries.map((entry) => [entry, manifest.exports[entry]!] as const);
  const entries = exported.map(([, entry]) => entry.default.replace(/^\.\/dist\//, ''));
  const { files, packages } = clientFiles(entries, (path) => readFileSync(join(dist, path), 'utf8'));
  for (const file of files) {
    copy(join(dist, file), join(folder, 'dist', file));
    // It has the source as well, for stack traces.
    if (file.endsWith('.js')) copy(join(dist, `${file}.map`), join(folder, 'dist', `${file}.map`));
  }
  copy(join(root, 'schema/message.schema.json'), join(folder, 'schema/message.schema.json'));
  copy(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'README.md'), readme);
  const { version, license, repository, homepage, bugs, engines } = manifest;
  const dependencies = packages.map((name): [string, string] => {
    const wanted = manifest.dependencies[name];
    if (wanted === undefined) throw new Error(`${name} is imported, and is no dependency`);
    return [name, wanted];
  });
  const client = {
    name: 'postlane-client',
    version,
    description: 'Enqueues e-mail for Postlane: the producer, a transport for nodemailer, and a transactional outbox.',
    keywords: ['email', 'nodemailer', 'queue', 'redis'],
    homepage,
    bugs,
    license,
    repository,
    files: ['dist', 'schema'],
    type: 'module',
    sideEffects: false,
    exports: {
      ...Object.fromEntries(exported),
      './package.json': './package.json',
      './schema/message.schema.json': './schema/message.schema.json',
    },
    dependencies: Object.fromEntries(dependencies),
    engines,
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(client, null, 2)}\n`);
  return packages;
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}
