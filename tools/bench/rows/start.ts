/** Row: what the start of a short command costs, beside a Node that does nothing. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endedChildrenMs } from '../processes.ts';
import { median } from '../statistics.ts';
import { finding, type Row } from './row.ts';

const configuration = `hostname: mail.example.com
systemDefaultGateway: relay
connectors:
  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 25, security: none } }
`;
const program = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

export const start: Row = {
  id: 'start',
  title: 'the start of `explain`, from source and without npm, against a bare Node',
  sink: false,
  async run({ sizes, disposables, progress }) {
    progress(`start: ${sizes.starts} times each`);
    const folder = mkdtempSync(join(tmpdir(), 'postlane-start-'));
    disposables.defer('folder', () => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'postlane.yaml'), configuration);
    const commands = { explain: [program, 'explain', 'news@example.com'], bare: ['-e', '0'] };
    const once = (args: readonly string[]): { readonly ms: number; readonly cpuMs: number } => {
      const [startedAt, cpuBefore] = [performance.now(), endedChildrenMs()];
      const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
      if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
      return { ms: performance.now() - startedAt, cpuMs: endedChildrenMs() - cpuBefore };
    };
    // The first start fills the cache of compiled code.
    once(commands.explain);
    const taken: Record<keyof typeof commands, ReturnType<typeof once>[]> = { explain: [], bare: [] };
    for (let nth = 0; nth < sizes.starts; nth += 1) {
      for (const name of ['explain', 'bare'] as const) taken[name].push(once(commands[name]));
    }
    // The kernel counts in steps of 10 ms, so only the sum is exact enough.
    const cpuMs = (name: keyof typeof commands): number =>
      taken[name].reduce((sum, each) => sum + each.cpuMs, 0) / sizes.starts;
    const wallMs = (name: keyof typeof commands): string => median(taken[name].map(({ ms }) => ms)).toFixed(0);
    const [ours, bare] = [cpuMs('explain'), cpuMs('bare')];
    return {
      findings: [
        finding(
          { what: 'start of explain, processor time', against: 'node -e 0', measured: ours / bare, unit: '×' },
          { kind: 'at most', value: 8 },
          `${ours.toFixed(0)} ms against ${bare.toFixed(0)} ms; by the clock ${wallMs('explain')} ms against ${wallMs('bare')} ms`,
        ),
      ],
      figures: [],
    };
  },
};
