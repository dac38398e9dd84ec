/** A short soak with a fixed seed, as a process of its own: everything goes wrong at once for half a minute, and the count is right. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { root } from '../support/source.ts';

/**
 * Of load; the drain afterwards takes some seconds more. Enough for each kind of kill with this seed; `npm run soak` goes on
 * for as long as asked. `POSTLANE_SOAK_SECONDS` makes this one shorter or longer.
 */
const seconds = Number(process.env['POSTLANE_SOAK_SECONDS'] ?? 30);

interface Figures {
  readonly accepted: number;
  readonly deliveredOnce: number;
  readonly lost: number;
  readonly pending: number;
  readonly violations: readonly { readonly what: readonly string[] }[];
  readonly findings: readonly unknown[];
  readonly crashes: readonly string[];
  readonly drainedMs: number | null;
  readonly faults: Readonly<Record<string, number>>;
}

test(
  'a soak loses nothing, and every further copy is one that the ledger calls uncertain',
  async () => {
    const program = [join(root, 'tools/soak/main.ts'), '--minutes', String(seconds / 60), '--seed', '7', '--json'];
    const soak = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'pipe'] });
    // SIGTERM: it ends its workers, servers and Redis.
    onTestFinished(() => void soak.kill());
    const [stdout, stderr, [code]] = await Promise.all([text(soak.stdout), text(soak.stderr), once(soak, 'exit')]);
    if (stdout === '') throw new Error(`the soak ended without a verdict: ${stderr}`);
    const figures = JSON.parse(stdout) as Figures;
    expect(figures.violations.map(({ what }) => what)).toEqual([]);
    expect(figures).toMatchObject({ lost: 0, pending: 0, findings: [], crashes: [] });
    expect(figures.drainedMs).not.toBeNull();
    // A soak without load or without trouble proves nothing.
    expect(figures.deliveredOnce).toBeGreaterThan(seconds * 5);
    expect(Object.values(figures.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(seconds / 10);
    expect(code).toBe(0);
  },
  (seconds + 180) * 1_000,
);
