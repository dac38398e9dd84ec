/** What the server of each scenario answers, to which messages, and when a run is over. Pure. */
import type { SmtpAnswer, SmtpContext } from '../../testkit/smtp/server.ts';

type Phase = 'CONNECT' | 'MAIL' | 'RCPT' | '.';

export interface Scenario {
  readonly id: string;
  readonly title: string;
  readonly messages: readonly string[];
  /** Of these, all are to be sent in the end; the others by their own schedule, or never. */
  readonly good: readonly string[];
  /** `atMs`: since the workers were ready. Undefined: accepted. The id is empty before a recipient is named. */
  readonly answer: (phase: Phase, id: string, atMs: number) => SmtpAnswer | undefined;
  /** The server refuses everything until then, in ms; 0 if it never does. */
  readonly blockedMs: number;
  /** A worker is killed this often, in ms; 0 is never. */
  readonly killEveryMs: number;
  /** From one message to the next, in ms; 0: all are there when the workers start. */
  readonly arriveEveryMs: number;
}

export const idOf = ({ line, to }: SmtpContext): string => /<?([^@<]+)@/.exec(to[0] ?? line)?.[1] ?? '';
export const recipientOf = (line: string): string => /<([^@]+)@/.exec(line)?.[1] ?? '';

const many = (count: number, name = 'm'): string[] => Array.from({ length: count }, (_, i) => `${name}${i}`);

/** `every`th message is one of `bad`. */
function mixed(count: number, bad: readonly string[], every: number): string[] {
  const rest = [...bad];
  return many(count)
    .flatMap((id, i) => (i % every === every - 1 ? [rest.shift() ?? [], id].flat() : [id]))
    .concat(rest);
}

const poison: Readonly<Record<string, readonly ['RCPT' | '.', SmtpAnswer]>> = {
  bad0: ['RCPT', '421 4.3.2 not for this one'],
  bad1: ['RCPT', '452 4.3.1 insufficient system resources'],
  bad2: ['.', '550 5.7.1 client host [192.0.2.1] blocked using bl.example'],
  bad3: ['.', '550 forbidden by policy'],
  bad4: ['RCPT', 'close'],
};

const poisoned: Scenario['answer'] = (phase, id) => (poison[id]?.[0] === phase ? poison[id][1] : undefined);
const atPhase =
  (at: Phase, answer: SmtpAnswer, untilMs: number): Scenario['answer'] =>
  (phase, _id, atMs) =>
    phase === at && atMs < untilMs ? answer : undefined;
const bad =
  (phase: 'RCPT' | '.', answer: SmtpAnswer): Scenario['answer'] =>
  (at, id) =>
    at === phase && id.startsWith('bad') ? answer : undefined;

/** At most `count` messages in `perMs`; each try counts. */
function strict(count: number, perMs: number): Scenario['answer'] {
  let times: number[] = [];
  return (phase, _id, atMs) => {
    if (phase !== 'RCPT') return undefined;
    times = [...times.filter((time) => time > atMs - perMs), atMs];
    return times.length > count ? '451 4.7.1 too fast, slow down' : undefined;
  };
}

/** Made anew for each run, as some servers count. */
export function scenarios(): Scenario[] {
  const base = { blockedMs: 0, killEveryMs: 0, arriveEveryMs: 0 };
  const five = many(5, 'bad');
  const sixty = many(60, 'bad');
  const thousand = mixed(995, five, 5);
  const run = many(300).flatMap((id, i) => (i === 150 ? [...sixty, id] : [id]));
  const block = (answer: string, ms: number, phase: Phase = 'RCPT') => ({
    ...base,
    answer: atPhase(phase, answer, ms),
    blockedMs: ms,
  });
  const of = (messages: string[]) => ({ messages, good: messages.filter((id) => id.startsWith('m')) });
  return [
    { id: 'A0', title: '995 without poison', ...of(many(995)), ...base, answer: () => undefined },
    { id: 'A', title: '995 and 5 poisoned', ...of(thousand), ...base, answer: poisoned },
    {
      id: 'B',
      title: '550 to all for 8 s, 400 waiting',
      ...of(many(400)),
      ...block('550 5.7.1 blocked, contact support', 8_000),
    },
    { id: 'Bx', title: 'the same in unknown words', ...of(many(400)), ...block('550 Zugriff verweigert', 8_000) },
    { id: 'C', title: '421 at RCPT for 10 s, 200 waiting', ...of(many(200)), ...block('421 4.7.0 busy', 10_000) },
    { id: 'Cc', title: 'closes each connection for 10 s', ...of(many(200)), ...block('close', 10_000, 'CONNECT') },
    { id: 'Cm', title: '421 at MAIL for 10 s', ...of(many(200)), ...block('421 4.3.2 down', 10_000, 'MAIL') },
    {
      id: 'D',
      title: '140 and 60 unknown users',
      ...of(mixed(140, sixty, 2)),
      ...base,
      answer: bad('RCPT', '550 Unrouteable address'),
    },
    {
      id: 'Dv',
      title: 'the same with 550 Verboten',
      ...of(mixed(140, sixty, 2)),
      ...base,
      answer: bad('RCPT', '550 Verboten'),
    },
    {
      id: 'Dc',
      title: '140 and 60 refused for content',
      ...of(mixed(140, sixty, 2)),
      ...base,
      answer: bad('.', '554 5.7.1 spam'),
    },
    {
      id: 'G',
      title: '300 and, in a run, 60 of a throttled domain',
      ...of(run),
      ...base,
      answer: bad('RCPT', '451 4.7.1 domain busy'),
    },
    { id: 'E', title: 'strict, 20 in 2 s, 200 messages', ...of(many(200)), ...base, answer: strict(20, 2_000) },
    { id: 'E1', title: 'strict, 20 in 2 s, 1,000 messages', ...of(many(1_000)), ...base, answer: strict(20, 2_000) },
    { id: 'FA', title: 'A with kills', ...of(thousand), ...base, answer: poisoned, killEveryMs: 500 },
    { id: 'FB', title: 'B with kills', ...of(many(400)), ...block('550 5.7.1 blocked', 8_000), killEveryMs: 500 },
    {
      id: 'L',
      title: 'one in 10 minutes, 550 to all for 50',
      ...of(many(6)),
      ...block('550 Verboten', 60_000),
      arriveEveryMs: 12_000,
    },
    {
      id: 'S',
      title: 'a poisoned one alone, then a newcomer',
      ...of(['bad0', 'm0']),
      ...base,
      answer: poisoned,
      arriveEveryMs: 500,
    },
  ];
}
