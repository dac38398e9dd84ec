/**
 * One SMTP transaction: MAIL, RCPT, DATA and the message, and what is known of each when it ends.
 *
 * With PIPELINING all commands leave in one write and the message follows the 354 in another; without it each command waits
 * for the reply to the one before.
 */
import { wireBody, type BodyProgress } from './body.ts';
import type { SmtpChannel } from './channel.ts';
import { dataCommand, mailCommand, rcptCommand, type SmtpEnvelope } from './commands.ts';
import type { SmtpExtensions } from './extensions.ts';
import { SmtpFailure } from './failure.ts';
import { codeOf } from './reader.ts';

/** How a transaction went. `failure` is null exactly if the server answered the message with 2xx. */
export interface Transaction {
  /** The server said yes to MAIL. */
  readonly mailTaken: boolean;
  /** Recipients that the server accepted at RCPT. */
  readonly taken: ReadonlySet<string>;
  /** Recipients that it refused at RCPT, and how. */
  readonly refused: ReadonlyMap<string, SmtpFailure>;
  readonly failure: SmtpFailure | null;
  /** The reply to the end of data, if it was 2xx. */
  readonly reply: string | null;
  readonly body: BodyProgress;
}

export interface TransactionTask {
  readonly envelope: SmtpEnvelope;
  /** The message, with CRLF line ends. */
  readonly bytes: Buffer;
  readonly extensions: SmtpExtensions;
  /** Between the end of data and its reply. */
  readonly dataTerminationMs: number;
  /** Called when the body, with its end, may have left. */
  readonly onBodySent: () => void;
}

type Recipients = Pick<Transaction, 'taken' | 'refused'>;
type Done = (transaction: Transaction) => void;

/** Never rejects for what the server or the connection does. When it resolves, the channel has no listener. */
export function transact(channel: SmtpChannel, task: TransactionTask): Promise<Transaction> {
  return new Promise((resolve) => {
    const done: Done = (transaction) => {
      channel.listen(null);
      resolve(transaction);
    };
    sendEnvelope(channel, task, done, (recipients) => sendBody(channel, task, recipients, done));
  });
}

/** `none`: the empty message of a transaction without recipients. */
type EnvelopeStep = 'mail' | 'rcpt' | 'data' | 'none';

/** MAIL, RCPT and DATA. Calls `proceed` if the server waits for the message, else `done`. */
function sendEnvelope(
  channel: SmtpChannel,
  { envelope, extensions }: TransactionTask,
  done: Done,
  proceed: (recipients: Recipients) => void,
): void {
  const { to } = envelope;
  const { pipelining } = extensions;
  const mail = mailCommand(envelope, extensions);
  const dsn = extensions.dsn ? envelope.dsn : null;
  const recipients = to.map((address) => rcptCommand(address, dsn));
  const taken = new Set<string>();
  const refused = new Map<string, SmtpFailure>();
  let step: EnvelopeStep = 'mail';
  let mailTaken = false;
  let mailFailure: SmtpFailure | null = null;
  let answered = 0;

  const fail = (failure: SmtpFailure): void => {
    // After a refused MAIL, the replies to the recipients sent along mean nothing.
    const known = failure.phase === 'mail' ? new Map<string, SmtpFailure>() : refused;
    done({ mailTaken, taken, refused: known, failure, reply: null, body: 'none' });
  };

  /** A server that can be misunderstood may believe the opposite of this client: it gets no message, not even an empty one. */
  const giveUp = (phase: 'mail' | 'data', text: string): void => {
    fail(mailFailure ?? new SmtpFailure(phase, { server: text }));
    channel.end('EPROTOCOL', 'the server answered neither yes nor no');
  };

  const onMail = (text: string): void => {
    step = 'rcpt';
    if (!isYes(text) && !isNo(text)) return giveUp('mail', text);
    mailTaken = isYes(text);
    if (!mailTaken) mailFailure = new SmtpFailure('mail', { server: text });
    if (mailFailure !== null && (isClosing(text) || !pipelining)) return fail(mailFailure);
    if (!pipelining) channel.write(recipients[0] ?? '', 1);
  };

  const onRcpt = (text: string): void => {
    const address = to[answered] ?? '';
    answered += 1;
    if (!isYes(text) && !isNo(text)) return giveUp('data', text);
    if (isYes(text)) taken.add(address);
    else refused.set(address, new SmtpFailure('rcpt', { server: text }));
    // The replies to the rest will not come.
    if (isClosing(text)) return fail(mailFailure ?? new SmtpFailure('data', { server: text }));
    if (answered < to.length) {
      if (!pipelining) channel.write(recipients[answered] ?? '', 1);
      return;
    }
    step = 'data';
    if (pipelining) return;
    if (taken.size === 0) return fail(refusalOfAll(refused));
    channel.write(dataCommand, 1);
  };

  const onData = (text: string): void => {
    // Nothing else is a go-ahead: a server that stays in command mode would take the lines of the message for commands.
    const goOn = codeOf(text) === '354';
    if (!goOn && !isNo(text)) return giveUp('data', text);
    if (mailFailure !== null) {
      // A server that refused the sender and takes a message all the same is not to be trusted with one, even an empty one.
      if (goOn) channel.end('EPROTOCOL', 'the server takes a message from a sender that it refused');
      return fail(mailFailure);
    }
    if (taken.size === 0) {
      if (!goOn) return fail(refusalOfAll(refused));
      // RFC 2920 section 3.1: a server that answers 354 without a recipient gets an empty message.
      step = 'none';
      return void channel.write('.\r\n', 1);
    }
    if (!goOn) return fail(new SmtpFailure('data', { server: text }));
    proceed({ taken, refused });
  };

  const handlers: Readonly<Record<EnvelopeStep, (text: string) => void>> = {
    mail: onMail,
    rcpt: onRcpt,
    data: onData,
    none: () => fail(refusalOfAll(refused)),
  };

  channel.listen({
    reply: (text) => handlers[step](text),
    drained: () => undefined,
    ended({ code, text, rest }) {
      // A refusal that was cut off is a refusal all the same.
      const said = /^[45]\d\d[ -]/.test(rest);
      fail(mailFailure ?? new SmtpFailure('data', said ? { server: rest } : { code, text }));
    },
  });
  if (pipelining) channel.write(mail + recipients.join('') + dataCommand, to.length + 2);
  else channel.write(mail, 1);
}

/** The message and the reply to it. */
function sendBody(channel: SmtpChannel, task: TransactionTask, recipients: Recipients, done: Done): void {
  const message = wireBody(task.bytes);
  let body: BodyProgress = 'none';
  let timer: NodeJS.Timeout | undefined;
  let over = false;

  const end = (failure: SmtpFailure | null, reply: string | null = null): void => {
    over = true;
    clearTimeout(timer);
    done({ mailTaken: true, ...recipients, failure, reply, body });
  };

  /** Until the socket has enough; the last bytes wait until it has taken all others. */
  const write = (): void => {
    // The server is out of step: what has not left stays here.
    if (!channel.usable) return;
    for (let part = message.next(); part !== null; part = message.next()) {
      // One reply, which may come before the end: a server may refuse a message halfway.
      const replies = body === 'none' ? 1 : 0;
      body = 'partial';
      if (part.end !== null) {
        // Recorded before it can be true: a process that recorded it afterwards could die between the two.
        body = 'complete';
        task.onBodySent();
        // The wait for the reply has a time limit of its own, which a server that trickles does not extend.
        channel.setIdleTimeout(0);
        const text = `no reply to the end of data within ${task.dataTerminationMs} ms`;
        timer = setTimeout(() => channel.end('ETIMEDOUT', text), task.dataTerminationMs);
      }
      // Together: a copy of the message with its end in place would cost more.
      if (!channel.write(part.end === null ? part.bytes : [part.bytes, part.end], replies)) return;
    }
  };

  channel.listen({
    reply(text) {
      if (isYes(text)) return end(null, text);
      // A reply in the middle of the message does not answer it: the server ends the transaction, as if it had refused DATA.
      end(new SmtpFailure(body === 'complete' ? 'end-of-data' : 'data', { server: text }));
    },
    drained: write,
    ended({ code, text, rest }) {
      // A refusal that was cut off is a refusal all the same, unless it could be about a message that was sent completely.
      const said = body !== 'complete' && /^[45]\d\d[ -]/.test(rest);
      end(new SmtpFailure(body === 'none' ? 'data' : 'end-of-data', said ? { server: rest } : { code, text }));
    },
  });
  // listen() ends the exchange at once if the connection is already over.
  if (!over) write();
}

function isYes(reply: string): boolean {
  return codeOf(reply)?.startsWith('2') === true;
}

function isNo(reply: string): boolean {
  return /^[45]/.test(codeOf(reply) ?? '');
}

/** RFC 5321 section 3.8: whatever a 421 answers, the server closes. */
function isClosing(reply: string): boolean {
  return /^421(?:[ -]|$)/.test(reply);
}

/** A temporary refusal if there is one: the last would make a message look lost that is only deferred. */
function refusalOfAll(refused: ReadonlyMap<string, SmtpFailure>): SmtpFailure {
  const all = [...refused.values()];
  const found = all.find(({ reply }) => reply.code?.startsWith('4') === true) ?? all.at(-1);
  return found ?? new SmtpFailure('rcpt', { code: null, text: 'no recipients' });
}
