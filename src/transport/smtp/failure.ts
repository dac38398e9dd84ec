/** Why an SMTP session could not go on: an error that stays within this folder, where it becomes an outcome. */
import { printable } from '../../errors.ts';
import { authority } from '../proxy.ts';
import { parseReply } from './replies.ts';
import type { SmtpPhase } from './reply-table.ts';
import type { FaultClass, Reply } from '../transport.ts';

export interface ServerName {
  readonly host: string;
  readonly port: number;
}

/** A host that was left for the next one, with times in ms since the epoch. */
export interface MissedHost {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly failure: SmtpFailure;
}

/** Of the server, as it came or as it was read, or in our words. */
type Said =
  | { readonly server: string }
  | { readonly reply: Reply }
  | { readonly code: string | null; readonly text: string };

interface Known {
  readonly fault?: FaultClass | undefined;
  readonly pauseMs?: number | undefined;
  readonly server?: ServerName | null;
  readonly missed?: readonly MissedHost[];
}

export class SmtpFailure extends Error {
  readonly phase: SmtpPhase;
  /** `code` is the socket's if the server did not answer. */
  readonly reply: Reply;
  /** The reply is the server's own. */
  readonly answered: boolean;
  /** Set where the cause is known; else the reply or the socket's code tells it. */
  readonly fault: FaultClass | undefined;
  readonly pauseMs: number | undefined;
  /** Which host it came of; null: none was asked, or it is not known. */
  readonly server: ServerName | null;
  /** Hosts that were tried before it. */
  readonly missed: readonly MissedHost[];

  constructor(phase: SmtpPhase, what: Said, known: Known = {}) {
    const reply = replyOf(what);
    super(`${phase}: ${reply.code ?? ''} ${reply.text ?? ''}`);
    this.name = 'SmtpFailure';
    this.phase = phase;
    this.reply = reply;
    this.answered = !('text' in what);
    this.fault = known.fault;
    this.pauseMs = known.pauseMs;
    this.server = known.server ?? null;
    this.missed = known.missed ?? [];
  }

  /** The same, of this host. */
  at(server: ServerName): SmtpFailure {
    return this.with({ server });
  }

  /** The same, after others; its text names the host, unless the server has spoken. */
  last(missed: readonly MissedHost[]): SmtpFailure {
    const { server } = this;
    return this.with({ missed }, server === null ? '' : ` (at ${authority(server.host, server.port)})`);
  }

  /** The same, naming a proxy that stands on the way, unless the server has spoken, or the text names it. */
  through(proxy: string): SmtpFailure {
    return this.reply.text?.includes(proxy) === true ? this : this.with({}, ` (through the proxy ${proxy})`);
  }

  /** The same with something more known of it. `words` are added to a text that is not the server's own. */
  with(more: Known, words = ''): SmtpFailure {
    const { phase, reply, answered, fault, pauseMs, server, missed } = this;
    const known = { fault, pauseMs, server, missed, ...more };
    return new SmtpFailure(
      phase,
      answered ? { reply } : { code: reply.code, text: `${reply.text ?? ''}${words}` },
      known,
    );
  }
}

function replyOf(what: Said): Reply {
  if ('server' in what) return parseReply(what.server);
  return 'reply' in what ? what.reply : { code: what.code, enhancedCode: null, text: printable(what.text, 500) };
}
