/** Processor time and memory of a process, from Linux' /proc. On other systems the figures are NaN. */
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

export type Role = 'sender' | 'redis' | 'sink' | 'feeder';

/** A process that takes part in a measurement. `tree`: with all its descendants (Postfix). */
export interface Part {
  readonly role: Role;
  readonly pid: number;
  readonly tree?: boolean;
}

/** USER_HZ, which is 100 on every Linux that Node runs on: proc_pid_stat(5). */
const tickMs = 10;

/** User and system time of all threads in ms, with `tree` also of all descendants, including those that have ended. */
export function cpuMs({ pid, tree = false }: Pick<Part, 'pid' | 'tree'>): number {
  if (!tree) return ticksOf(pid, 2) * tickMs;
  return descendants(pid).reduce((sum, each) => sum + (ticksOf(each, 4) || 0) * tickMs, 0);
}

/** User and system time in ms of all children of this process that have ended. */
export function endedChildrenMs(): number {
  return (ticksOf(process.pid, 4) - ticksOf(process.pid, 2)) * tickMs;
}

/** Busy time of all processors of the machine since it started. */
export function machineMs(): { readonly at: number; readonly busy: number } {
  const busy = cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  return { at: performance.now(), busy };
}

/** Peak resident memory in MB; of a tree the sum. */
export function peakMb({ pid, tree = false }: Pick<Part, 'pid' | 'tree'>): number {
  const pids = tree ? descendants(pid) : [pid];
  return pids.reduce((sum, each) => sum + Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${each}/status`))?.[1]) / 1_024, 0);
}

/** Sums utime, stime, and with 4 fields cutime and cstime; of the latter two only a tree's reaped children are in. */
function ticksOf(pid: number, fields: 2 | 4): number {
  // The second field is the program's name in parentheses, which may hold anything.
  const rest = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  const ticks = rest.slice(11, 11 + fields).map(Number);
  return ticks.length < 2 ? Number.NaN : ticks.reduce((sum, each) => sum + each, 0);
}

function descendants(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    parents.set(
      Number(name),
      Number(
        read(`/proc/${name}/stat`)
          .replace(/^.*\) /s, '')
          .split(' ')[1],
      ),
    );
  }
  const found = [root];
  for (const pid of found) for (const [child, parent] of parents) if (parent === pid) found.push(child);
  return found;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
