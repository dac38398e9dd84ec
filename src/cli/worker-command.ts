/** The command `worker`. What it runs is loaded with it only: queues, transports and the logger. */
import type { Command } from 'commander';
import type { Action } from './command.ts';

export function addWorker(program: Command, action: Action): void {
  program
    .command('worker')
    .description('route and send messages until SIGTERM or SIGINT; SIGHUP reloads the configuration')
    .option('--serve', 'serve the HTTP API, too, as `postlane serve` does')
    .option('--smtp', 'take mail by SMTP submission, too, as `postlane smtp` does')
    .action(
      action<{ readonly serve?: boolean; readonly smtp?: boolean }>(async (call, { serve = false, smtp = false }) => {
        const { runWorker } = await import('./worker.ts');
        const { flushTraces } = await import('../tracing/tracing.ts');
        const exit = await runWorker(call, { serve, smtp });
        await flushTraces();
        return exit;
      }),
    );
}
