/** A client's session, command by command: what smtp-server asks, and what is answered. */
import type { SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { parseAddress } from '../message/address.ts';
import type { SubmissionStore } from '../admin/submissions.ts';
import type { Client, Clients } from './clients.ts';
import { createData, type DataOptions } from './data.ts';
import type { Logins } from './login.ts';
import { asReplyError, refusal, refusalOf, replyOf, type Refusal } from './replies.ts';
import { mayUse, type Sender } from './sender.ts';

export interface SessionOptions extends Omit<DataOptions, 'senderOf' | 'refuse'> {
  readonly security: 'starttls' | 'tls' | 'none';
  /** The sender of clients that need no login here; null if all need one. */
  readonly known: () => Sender;
  readonly clients: Clients;
  readonly logins: Logins;
  readonly store: Pick<SubmissionStore, 'connected' | 'withinRate'>;
}

type Handlers = Required<
  Pick<SMTPServerOptions, 'onConnect' | 'onAuth' | 'onMailFrom' | 'onRcptTo' | 'onData' | 'onClose'>
>;

type Settle = (error?: Error | null) => void;

export function createSession(options: SessionOptions): Handlers {
  const { security, known, clients, budget, logins, store, draining, onEvent } = options;

  const senderOf = (client: Client): Sender | null => {
    if (client.login !== null) return logins.current(client.login);
    return client.isKnown ? known() : null;
  };

  const refuse = (client: Client, refused: Refusal): Error => {
    const error = asReplyError(refused);
    const user = senderOf(client)?.name ?? null;
    const { address } = client;
    const { code } = replyOf(refused);
    onEvent({ event: 'submission-refused', user, address, reason: refused.reason, code, detail: refused.detail });
    return error;
  };

  /** Runs the judgement of a command; a client that is gone is asked nothing. */
  const judge = (session: SMTPServerSession, settle: Settle, work: (client: Client) => Promise<Refusal | null>) => {
    const client = clients.get(session.id);
    if (client === undefined) return settle(asReplyError(refusal('unavailable')));
    work(client)
      .catch(refusalOf)
      .then(
        (refused) => settle(refused === null ? null : refuse(client, refused)),
        () => settle(asReplyError(refusal('unavailable'))),
      );
  };

  return {
    onConnect: (session, settle) =>
      judge(session, settle, async (client) => {
        if (draining()) return refusal('draining');
        if (!store.connected() || budget.held >= budget.max) return refusal('not-ready');
        return security === 'none' && !client.isKnown ? refusal('network') : null;
      }),

    onAuth(auth, session, settle) {
      const client = clients.get(session.id);
      const { username = '', password = '', authzid = '' } = auth;
      if (client === undefined || !session.secure) return settle(asReplyError(refusal('unavailable')));
      const { address } = client;
      const isOther = authzid !== '' && authzid !== username;
      void logins.check({ user: username, address }, isOther ? '' : (password ?? '')).then((result) => {
        if (result.ok) {
          client.login = result.sender.name;
          return settle(null, { user: result.sender.name });
        }
        onEvent({ event: 'login-failed', user: result.user, address, reason: result.reason });
        return settle(asReplyError(refusal(result.reason)));
      });
    },

    onMailFrom: ({ address, args }, session, settle) =>
      judge(session, settle, async (client) => {
        if (draining()) return refusal('draining');
        if (security === 'starttls' && !session.secure) return refusal('tls-first');
        const sender = senderOf(client);
        if (sender === null) return refusal('login-first');
        if (address !== '') {
          const read = readAddress(address, session);
          if (!read.ok) return refusal(read.utf8 ? 'utf8-address' : 'sender-syntax');
          if (!mayUse(sender.from, read.address)) return refusal('envelope-sender');
        }
        const size = args === false ? 0 : Number(args['SIZE'] ?? 0);
        if (budget.held + size > budget.max || budget.held >= budget.max) return refusal('no-room');
        if (!store.connected()) return refusal('unavailable');
        const { rate } = sender;
        return rate === null || (await store.withinRate(rate.key, rate.perMinute)) ? null : refusal('rate');
      }),

    onRcptTo: ({ address }, session, settle) =>
      judge(session, settle, async (client) => {
        const read = readAddress(address, session);
        if (!read.ok) return refusal(read.utf8 ? 'utf8-address' : 'recipient-syntax');
        client.commands -= 1;
        return null;
      }),

    onData: createData({ ...options, senderOf, refuse }),

    onClose: (session) => clients.remove(session.id),
  };
}

type ReadAddress = { readonly ok: true; readonly address: string } | { readonly ok: false; readonly utf8: boolean };

/** smtp-server shows domains in Unicode, so only what is before the @ says whether the client sent ASCII. */
function readAddress(text: string, { envelope }: SMTPServerSession): ReadAddress {
  const parsed = parseAddress(text);
  if (!parsed.ok) return { ok: false, utf8: false };
  // oxlint-disable-next-line no-control-regex -- the range is ASCII
  const isAscii = /^[\x00-\x7f]*$/.test(parsed.value);
  return isAscii || envelope.smtpUtf8 === true ? { ok: true, address: parsed.value } : { ok: false, utf8: true };
}
