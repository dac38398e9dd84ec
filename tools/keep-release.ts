/**
 * node tools/keep-release.ts NAME [TREE]: keeps a release as test/system/releases/NAME.json.br, from which test/system/upgrade-fleet.test.ts
 * starts its workers and its producer.
 *
 * TREE is the folder of the release with its dependencies in node_modules; without it, this one. The file has the command line and the
 * producer with all packages that they need to send by SMTP, BullMQ's of that release included: half a megabyte.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));

async function main([name, tree = root]: readonly string[]): Promise<number> {
  if (name === undefined || !/^[\w.-]+$/.test(name)) {
    process.stderr.write('usage: node tools/keep-release.ts NAME [TREE]\n');
    return 2;
  }
  const bundle = await rolldown({
    cwd: tree,
    // Their places are those of the source: the program finds the manifest two folders up.
    input: { 'src/cli/main': 'src/cli/main.ts', 'src/cli/producer': 'src/index.ts' },
    platform: 'node',
    // Of connectors and processes that the test does not start.
    external: [/^@azure\//, /^@microsoft\//, /^@hono\//, /^hono/, /^imapflow/, /^smtp-server/],
  });
  const { output } = await bundle.generate({
    format: 'esm',
    minify: true,
    entryFileNames: '[name].mjs',
    chunkFileNames: 'src/cli/[hash].mjs',
  });
  await bundle.close();
  const files: Record<string, string> = {
    'package.json': JSON.stringify({ name: 'postlane', version: name, type: 'module' }),
  };
  for (const part of output) if (part.type === 'chunk') files[part.fileName] = part.code;
  const packed = brotliCompressSync(JSON.stringify(files), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 },
  });
  const file = join(root, 'test/system/releases', `${name}.json.br`);
  writeFileSync(file, packed);
  process.stdout.write(`${Object.keys(files).length} files, ${packed.length} bytes in ${file}\n`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
