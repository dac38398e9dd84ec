/** Why an SMTP session could not go on: an error that stays within this folder, where it becomes an outcome. */
import { printable } from '../../errors.ts';
import { parseReply } from './replies.ts';
import type { SmtpPhase } from './reply-table.ts';
import type { FaultClass, Reply } from '../transport.ts';

export class SmtpFailure extends Error {
  readonly phase: SmtpPhase;
  /** `code` is the socket's if the server did not answer. */
  readonly reply: Reply;
  /** The reply is the server's own. */
  readonly answered: boolean;
  /** Set where the cause is known; else the reply or the socket's code tells it. */
  readonly fault: FaultClass | undefined;
  readonly pauseMs: number | undefined;

  constructor(
    phase: SmtpPhase,
    what: { readonly server: string } | { readonly code: string | null; readonly text: string },
    known: { readonly fault?: FaultClass; readonly pauseMs?: number | undefined } = {},
  ) {
    const answered = 'server' in what;
    const reply = answered
      ? parseReply(what.server)
      : { code: what.code, enhancedCode: null, text: printable(what.text, 500) };
    super(`${phase}: ${reply.code ?? ''} ${reply.text ?? ''}`);
    this.name = 'SmtpFailure';
    this.phase = phase;
    this.reply = reply;
    this.answered = answered;
    this.fault = known.fault;
    this.pauseMs = known.pauseMs;
  }

  /** The same, naming the host, unless the server has spoken. */
  of(host: string): SmtpFailure {
    if (this.answered) return this;
    const { phase, reply, fault, pauseMs } = this;
    const known = { ...(fault === undefined ? {} : { fault }), pauseMs };
    return new SmtpFailure(phase, { code: reply.code, text: `${reply.text ?? ''} (at ${host})` }, known);
  }

  /** The same, naming a proxy that stands on the way, unless the server has spoken, or the text names it. */
  through(proxy: string): SmtpFailure {
    const text = this.reply.text ?? '';
    if (this.answered || text.includes(proxy)) return this;
    const { phase, reply, fault, pauseMs } = this;
    const known = { ...(fault === undefined ? {} : { fault }), pauseMs };
    return new SmtpFailure(phase, { code: reply.code, text: `${text} (through the proxy ${proxy})` }, known);
  }
}
