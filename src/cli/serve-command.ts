/** The command `serve`. What it runs is loaded with it only. */
import type { Command } from 'commander';
import type { Action } from './command.ts';

export function addServe(program: Command, action: Action): void {
  program
    .command('serve')
    .description('serve the HTTP API, health checks, and the metrics of the whole fleet, until SIGTERM or SIGINT')
    .action(
      action(async (call) => {
        const { runServe } = await import('./serve.ts');
        const { flushTraces } = await import('../tracing/tracing.ts');
        const exit = await runServe(call);
        await flushTraces();
        return exit;
      }),
    );
}
