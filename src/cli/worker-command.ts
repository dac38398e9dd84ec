/** The command `worker`. What it runs is loaded with it only: queues, transports and the logger. */
import type { Command } from 'commander';
import type { Action } from './command.ts';

export function addWorker(program: Command, action: Action): void {
  program
    .command('worker')
    .description('route and send messages until SIGTERM or SIGINT; SIGHUP reloads the configuration')
    .option('--serve', 'serve the HTTP API, too, as `postlane serve` does')
    .action(
      action<{ readonly serve?: boolean }>(async (call, { serve = false }) => {
        const { runWorker } = await import('./worker.ts');
        return runWorker(call, { serve });
      }),
    );
}
