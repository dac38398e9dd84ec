/**
 * One SMTP transaction: MAIL, RCPT, DATA and the message, and what is known of each when it ends.
 *
 * With PIPELINING all commands leave in one write, and the message follows the 354 in another; else each waits for its reply.
 */
import { wireBody, type BodyProgress } from './body.ts';
import type { SmtpChannel } from './channel.ts';
import { dataCommand, mailCommand, rcptCommand, type SmtpEnvelope } from './commands.ts';
import type { SmtpExtensions } from './extensions.ts';
import { SmtpFailure } from './failure.ts';
import { codeOf } from './reader.ts';

/** How a transaction went. `failure` is null exactly if the server answered the message with 2xx. */
export interface Transaction {
  /** Recipients that the server took at RCPT. */
  readonly taken: ReadonlySet<string>;
  /** Recipients that it refused at RCPT, and how. */
  readonly refused: ReadonlyMap<string, SmtpFailure>;
  readonly failure: SmtpFailure | null;
  /** The reply to the final dot, if it was 2xx. */
  readonly reply: string | null;
  readonly body: BodyProgress;
}

export interface TransactionTask {
  readonly envelope: SmtpEnvelope;
  /** The message, with CRLF line ends. */
  readonly bytes: Buffer;
  readonly extensions: SmtpExtensions;
  /** Between the final dot and its reply. */
  readonly dataTerminationMs: number;
  /** The final dot may have left. */
  readonly onWhole: () => void;
}

/** `none`: the empty message of a transaction that nobody takes part in. */
type Step = 'mail' | 'rcpt' | 'data' | 'message' | 'none';

/** Never rejects for what the server or the connection does. When it resolves, nobody listens to the channel. */
export function transact(channel: SmtpChannel, task: TransactionTask): Promise<Transaction> {
  const { envelope, extensions } = task;
  const { to } = envelope;
  const { pipelining } = extensions;
  const mail = mailCommand(envelope, extensions);
  const recipients = to.map(rcptCommand);
  const taken = new Set<string>();
  const refused = new Map<string, SmtpFailure>();
  const message = wireBody(task.bytes);
  let step: Step = 'mail';
  let mailFailure: SmtpFailure | null = null;
  let asked = 0;
  let body: BodyProgress = 'none';
  let timer: NodeJS.Timeout | undefined;

  return new Promise((resolve) => {
    const done = (failure: SmtpFailure | null, reply: string | null = null): void => {
      clearTimeout(timer);
      channel.listen(null);
      // Where MAIL was refused, the replies to the recipients sent along mean nothing.
      const nobody = failure?.phase === 'mail';
      resolve({ taken, refused: nobody ? new Map() : refused, failure, reply, body });
    };

    /** A server that can be misunderstood may believe the opposite of what we do: it gets no message, not even an empty one. */
    const giveUp = (phase: 'mail' | 'rcpt' | 'data', text: string): void => {
      done(mailFailure ?? new SmtpFailure(phase, { server: text }));
      channel.end('EPROTOCOL', 'the server answered neither yes nor no');
    };

    const onMail = (text: string): void => {
      step = 'rcpt';
      if (!isYes(text) && !isNo(text)) return giveUp('mail', text);
      if (!isYes(text)) mailFailure = new SmtpFailure('mail', { server: text });
      if (mailFailure !== null && (isClosing(text) || !pipelining)) return done(mailFailure);
      if (!pipelining) channel.write(recipients[0] ?? '');
    };

    const onRcpt = (text: string): void => {
      const address = to[asked] ?? '';
      asked += 1;
      if (!isYes(text) && !isNo(text)) return giveUp('data', text);
      if (isYes(text)) taken.add(address);
      else refused.set(address, new SmtpFailure('rcpt', { server: text }));
      // The replies to the rest will not come.
      if (isClosing(text)) return done(mailFailure ?? new SmtpFailure('data', { server: text }));
      if (asked < to.length) {
        if (!pipelining) channel.write(recipients[asked] ?? '');
        return;
      }
      step = 'data';
      if (pipelining) return;
      if (taken.size === 0) return done(refusalOfAll(refused));
      channel.write(dataCommand);
    };

    const onData = (text: string): void => {
      const goOn = codeOf(text)?.startsWith('3') === true;
      if (!goOn && !isYes(text) && !isNo(text)) return giveUp('data', text);
      if (mailFailure !== null) {
        // A server that refused the sender and takes a message all the same is not to be trusted with one, even an empty one.
        if (goOn) channel.end('EPROTOCOL', 'the server takes a message from a sender that it refused');
        return done(mailFailure);
      }
      if (taken.size === 0) {
        if (!goOn) return done(refusalOfAll(refused));
        // RFC 2920 section 3.1: a server that answers 354 without a recipient gets an empty message.
        step = 'none';
        return void channel.write('.\r\n');
      }
      // Some servers say 250 instead of 354.
      if (!goOn && !isYes(text)) return done(new SmtpFailure('data', { server: text }));
      step = 'message';
      sendBody();
    };

    /** Until the socket has enough; the last bytes wait until it has taken all others. */
    const sendBody = (): void => {
      for (let part = message.next(); part !== null; part = message.next()) {
        body = 'part';
        if (part.isLast) {
          // Said before it can be true: whoever said it after could die between the two.
          body = 'whole';
          task.onWhole();
          // From here on silence has a time of its own, and a server that trickles does not stretch it.
          channel.setSilence(0);
          const text = `no reply to the final dot within ${task.dataTerminationMs} ms`;
          timer = setTimeout(() => channel.end('ETIMEDOUT', text), task.dataTerminationMs);
        }
        if (!channel.write(part.bytes)) return;
      }
    };

    const onReply = (text: string): void => {
      switch (step) {
        case 'mail':
          return onMail(text);
        case 'rcpt':
          return onRcpt(text);
        case 'data':
          return onData(text);
        case 'message': {
          if (isYes(text)) return done(null, text);
          // Words amid the message are not the reply to it: the server ends the transaction, as if it had refused DATA.
          return done(new SmtpFailure(body === 'whole' ? 'final' : 'data', { server: text }));
        }
        case 'none':
          return done(refusalOfAll(refused));
        default:
          return step satisfies never;
      }
    };

    channel.listen({
      reply: onReply,
      drained() {
        if (step === 'message') sendBody();
      },
      ended({ code, text, rest }) {
        if (mailFailure !== null) return done(mailFailure);
        const phase = body === 'none' ? 'data' : 'final';
        // A refusal that was cut off is one, unless it could be about a message that went out whole.
        const said = body !== 'whole' && /^[45]\d\d[ -]/.test(rest);
        done(new SmtpFailure(phase, said ? { server: rest } : { code, text }));
      },
    });
    channel.write(pipelining ? mail + recipients.join('') + dataCommand : mail);
  });
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

/** A temporary refusal if there is one: the last would make the whole of a message look lost that is only deferred. */
function refusalOfAll(refused: ReadonlyMap<string, SmtpFailure>): SmtpFailure {
  const all = [...refused.values()];
  const found = all.find(({ reply }) => reply.code?.startsWith('4') === true) ?? all.at(-1);
  return found ?? new SmtpFailure('rcpt', { code: null, text: 'no recipients' });
}
