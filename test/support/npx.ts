/** Runs `npx` in the folder of a project, as a user does: to its end, or in the background until the test ends. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { until } from '../../testkit/until.ts';

interface Place {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** → stdout. @throws Error with stderr if it ends with another code than 0. */
export async function npx(args: readonly string[], place: Place): Promise<string> {
  const { stdout } = await promisify(execFile)('npx', [...args], place);
  return stdout;
}

/** Resolves when the log has the event. npx and what it starts are one process group, and end with the test. */
export async function npxInBackground(args: readonly string[], event: string, place: Place): Promise<void> {
  const child = spawn('npx', args, { ...place, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  child.stderr.on('data', (text: Buffer) => (output += text.toString()));
  onTestFinished(async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    await ended;
  });
  await until(
    () => {
      if (child.exitCode !== null) throw new Error(`npx ${args.join(' ')} ended with ${child.exitCode}: ${output}`);
      return output.includes(`"event":"${event}"`);
    },
    { what: `the event ${event} of npx ${args.join(' ')}`, timeoutMs: 60_000 },
  );
}
