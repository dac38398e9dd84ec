/** Programs that are not Node's, each under a guard that ends it with this process, however that one ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

export interface External {
  readonly pid: number;
  /** What it has written to stderr so far. */
  said(): string;
  stop(): Promise<void>;
}

/** `folder`, unless empty, is removed at the end. */
export async function startExternal(command: readonly string[], folder = ''): Promise<External> {
  const guard = spawn(
    process.execPath,
    [fileURLToPath(new URL('../../testkit/guard.mjs', import.meta.url)), folder, ...command],
    // Its own process group: Ctrl-C reaches it through us, after our own processes have ended.
    { detached: true, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  const exited = once(guard, 'exit');
  let said = '';
  guard.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  guard.stdin.on('error', () => undefined);
  const line = await Promise.race([once(guard.stdout, 'data'), exited.then(() => null)]);
  const pid = Number(line === null ? Number.NaN : String(line[0]).trim());
  if (Number.isNaN(pid)) throw new Error(`${command.join(' ')} did not start: ${said}`);
  return {
    pid,
    said: () => said,
    async stop() {
      if (guard.exitCode !== null || guard.signalCode !== null) return;
      guard.stdin.end();
      await exited;
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
