/** The command `smtp`. What it runs is loaded with it only. */
import type { Command } from 'commander';
import type { Action } from './command.ts';

export function addSmtp(program: Command, action: Action): void {
  program
    .command('smtp')
    .description(
      'take mail by SMTP submission and enqueue it, until SIGTERM or SIGINT; SIGHUP reloads the configuration',
    )
    .action(
      action(async (call) => {
        const { runSmtp } = await import('./smtp.ts');
        const { flushTraces } = await import('../tracing/tracing.ts');
        const exit = await runSmtp(call);
        await flushTraces();
        return exit;
      }),
    );
}
