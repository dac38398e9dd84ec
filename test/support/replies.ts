/** Replies of real servers and what they are, from a table of the form that `npm run -s replies` reads. */
import type { SmtpPhase } from '../../src/transport/smtp/reply-table.ts';
import { textOf } from './source.ts';

export interface Sample {
  readonly id: string;
  readonly kind: string;
  readonly phase: SmtpPhase;
  readonly reply: string;
}

export function repliesOf(path: string): Sample[] {
  return textOf(path)
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', , kind = '', phase = '', reply = ''] = line.split('\t');
      const smtpPhase = (phase === 'final' ? 'end-of-data' : phase) as SmtpPhase;
      return { id, kind, phase: smtpPhase, reply: reply.replaceAll('\\n', '\n') };
    });
}
