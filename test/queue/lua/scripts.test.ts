/** Every Lua script of the product: a real Redis compiles it, and luacheck finds nothing in it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { script, splitFlag } from '../../../src/queue/lua/script.ts';
import { testConnection } from '../../support/redis.ts';
import { filesUnder, root, textOf } from '../../support/source.ts';

interface Found {
  readonly name: string;
  readonly lua: string;
}

/** Scripts and add-ons that modules export or keep: `script(` and `lua(` are replaced by collectors, so that none is forgotten. */
async function allScripts(): Promise<Found[]> {
  const found: Found[] = [];
  for (const path of filesUnder('src').filter(
    (file) => file.endsWith('.ts') && /\b(script|lua)\(/.test(textOf(file)),
  )) {
    const names = [...textOf(path).matchAll(/^(?:export )?const (\w+) = (?:script|lua)\(/gm)].map(
      ([, name]) => name ?? '',
    );
    const module = (await import(join(root, path))) as Record<string, unknown>;
    for (const name of names) {
      const { lua } = (module[name] ?? {}) as { readonly lua?: unknown };
      // What its module does not export can be loaded by no test.
      found.push({
        name: `${path.replaceAll(/\W/g, '-')}-${name}`,
        lua: typeof lua === 'string' ? lua : 'not exported',
      });
    }
  }
  return found;
}

const luacheckMissing = spawnSync('luacheck', ['--version']).error !== undefined;

describe('every Lua script', () => {
  test('is found: there are at least twenty', async () => {
    expect((await allScripts()).length).toBeGreaterThan(20);
  });

  test('is compiled by Redis', async () => {
    const redis = testConnection();
    const refused: string[] = [];
    for (const { name, lua } of await allScripts()) {
      await redis.script('LOAD', lua).catch((error: unknown) => refused.push(`${name}: ${String(error)}`));
    }
    expect(refused).toEqual([]);
  });

  test('that a full Redis would refuse has the flag allow-oom, but for those that store what is new, or seal it anew', async () => {
    const redis = testConnection();
    const refused: string[] = [];
    for (const { name, lua } of await allScripts()) {
      const { allowsOom, lua: body } = splitFlag(lua);
      const commands = [...body.matchAll(/redis\.p?call\('([A-Z]+)'/g)].map(([, command = '']) => command);
      const about = (await redis.call('COMMAND', 'INFO', ...commands)) as [string, number, string[]][];
      // Add-ons have no flag of their own: BullMQ's step brings it.
      const grows = about.some(([, , flags]) => flags.includes('denyoom')) && !/-\w+Lua$/.test(name);
      if (grows && !allowsOom) refused.push(name);
    }
    expect(refused.toSorted()).toEqual([
      'src-queue-lanes-intake-scripts-ts-arriveScript',
      'src-queue-ledger-content-rekey-ts-stageScript',
      'src-queue-ledger-content-ts-storeScript',
      'src-queue-stored-bodies-ts-replaceBodyScript',
      'src-queue-stored-bodies-ts-replaceHashScript',
    ]);
  });

  test.skipIf(luacheckMissing)('passes luacheck: no unknown global, nothing unused (needs luacheck)', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'postlane-lua-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    for (const { name, lua } of await allScripts()) writeFileSync(join(folder, `${name}.lua`), lua);
    const globals = ['redis', 'KEYS', 'ARGV', 'cjson', 'cmsgpack', 'bullmq'];
    // A parameter of a shared function may have the name of an input (431, 432). A key may only say where the script runs (`_anchor`).
    const options = [
      '--std',
      'lua51',
      '--read-globals',
      ...globals,
      '--no-max-line-length',
      '--no-color',
      '--ignore',
      '43.',
      '211/_.*',
      '--formatter',
      'plain',
    ];
    const { stdout, status } = spawnSync('luacheck', [folder, ...options], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

describe('named inputs', () => {
  test('become locals in the order of the shape, and what follows becomes a table', () => {
    const shape = { keys: ['row', 'index'], args: ['id'], moreArgs: 'fields' } as const;
    expect(script(shape, 'return 1\n').lua).toBe(
      [
        'local row, index = KEYS[1], KEYS[2]',
        'local id = ARGV[1]',
        'local fields = {}',
        'for i = 2, #ARGV do fields[i - 1] = ARGV[i] end',
        'return 1\n',
      ].join('\n'),
    );
  });
});
