/** Unpacks a release that tools/keep-release.ts has kept, and runs its command line and its producer. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import type { createProducer } from '../../src/producer/producer.ts';
import { root } from './source.ts';

export interface KeptRelease {
  /** The program of its command line. */
  readonly program: string;
  readonly createProducer: typeof createProducer;
}

/** In a folder that ends with the test. `name`: of its file in test/system/releases, without `.json.br`. */
export async function unpackRelease(name: string): Promise<KeptRelease> {
  const packed = readFileSync(join(root, 'test/system/releases', `${name}.json.br`));
  const files = JSON.parse(brotliDecompressSync(packed).toString('utf8')) as Readonly<Record<string, string>>;
  const folder = mkdtempSync(join(tmpdir(), 'postlane-release-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const producer = (await import(pathToFileURL(join(folder, 'src/cli/producer.mjs')).href)) as {
    readonly createProducer: typeof createProducer;
  };
  return { program: join(folder, 'src/cli/main.mjs'), createProducer: producer.createProducer };
}
