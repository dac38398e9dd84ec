/** What is traced of an SMTP session: that one was opened for a mail, in which time, and where that failed. */
import type { AttemptTrace } from '../transport.ts';
import { SmtpFailure, type MissedHost, type ServerName } from './failure.ts';
import type { HeldSession, SmtpSlot } from './pool.ts';

/** The server that is asked, as OpenTelemetry names it. */
export function serverAttributes(server: ServerName | null) {
  const named = server === null ? {} : { 'server.address': server.host, 'server.port': server.port };
  return { ...named, 'network.transport': 'tcp' } as const;
}

/** Takes a session. Where one had to be opened, `smtp connect` and `smtp auth` tell of it. */
export function takeSession(
  slot: SmtpSlot,
  signal: AbortSignal,
  trace: AttemptTrace | undefined,
  options?: { readonly fresh: boolean },
): Promise<HeldSession> {
  if (trace === undefined) return slot.session(signal, options);
  const askedAt = Date.now();
  return tellOf(slot.session(signal, options), askedAt, trace);
}

/** The clock of an attempt is paused when a body has been sent. */
export function tellingClock<Clock extends { readonly pause: () => void }>(span: AttemptTrace, clock: Clock): Clock {
  const pause = (): void => {
    clock.pause();
    span.event('end-of-data');
  };
  return { ...clock, pause };
}

async function tellOf(taken: Promise<HeldSession>, askedAt: number, trace: AttemptTrace): Promise<HeldSession> {
  try {
    const held = await taken;
    const { opened } = held.session;
    const server = serverAttributes(held.session.server);
    // One that was opened ahead of the mail is no part of this attempt.
    if (opened !== undefined && !held.reused && opened.startedAt >= askedAt) {
      const { startedAt, securedAt, readyAt, login, missed } = opened;
      tellOfMissed(missed, trace);
      trace.child('smtp connect', { ...server, ...tlsAttributes(held) }, startedAt).end(null, securedAt);
      if (login) trace.child('smtp auth', server, securedAt).end(null, readyAt);
    }
    return held;
  } catch (error) {
    if (error instanceof SmtpFailure) {
      const { missed } = error;
      tellOfMissed(missed, trace);
      tellOfFailure(error, trace, missed.at(-1)?.endedAt ?? askedAt);
    }
    throw error;
  }
}

function tellOfMissed(missed: readonly MissedHost[], trace: AttemptTrace): void {
  for (const { failure, startedAt, endedAt } of missed) tellOfFailure(failure, trace, startedAt, endedAt);
}

function tellOfFailure({ phase, reply, server }: SmtpFailure, trace: AttemptTrace, from: number, to?: number): void {
  const name = phase === 'auth' ? 'smtp auth' : 'smtp connect';
  trace.child(name, serverAttributes(server), from).end(reply.code === null ? phase : codeOf(reply.code), to);
}

export function tlsAttributes({ session: { protocol } }: HeldSession): { readonly 'tls.protocol.version'?: string } {
  return protocol === null ? {} : { 'tls.protocol.version': protocol.replace(/^TLSv/, '') };
}

function codeOf(code: string): string {
  return /^\d{3}$/.test(code) ? `smtp.${code}` : code;
}
