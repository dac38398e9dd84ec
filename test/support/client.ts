/** Owns a program of an application with `postlane-client`: the examples, as a user has them who installed the package. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { textOf } from './source.ts';

export const clientExamples = ['enqueue.ts', 'nodemailer.ts'] as const;

/** Writes the examples to the folder, with the imports that their comments name, but of the slim package. */
export function writeExamples(folder: string): void {
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  for (const name of clientExamples) {
    const source = textOf(`examples/${name}`)
      .replace(`'../src/index.ts'`, `'postlane-client'`)
      .replace(`'../src/nodemailer.ts'`, `'postlane-client/nodemailer'`);
    if (source.includes('../src/')) throw new Error(`${name} imports more than an application can`);
    writeFileSync(join(folder, name), source);
  }
  copyFileSync('examples/postlane.yaml', join(folder, 'postlane.yaml'));
}
