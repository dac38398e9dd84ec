/** Holds what happened to what should have happened: who got what from whom, and what the ledger says. `content.ts` reads the mails. */
import { check, type Check } from './checks.ts';
import { contentChecks } from './content.ts';
import { comparable, readEvidence, type Case, type Evidence, type Findings } from './evidence.ts';

/** All checks, in the order in which they are told. Reads nothing but the evidence. */
export async function verify(evidence: Evidence): Promise<Check[]> {
  const findings = await readEvidence(evidence);
  return [...deliveryChecks(findings), ...contentChecks(findings), ...ledgerChecks(findings)];
}

function deliveryChecks({ cases, strangers, plans }: Findings): Check[] {
  return [
    check('every recipient got exactly one copy', (notes) => {
      for (const one of cases) {
        const got = one.copies.flatMap(({ to }) => to.map(comparable));
        for (const address of expectedRecipients(one)) {
          const count = got.filter((each) => each === address).length;
          notes.holds(count === 1, `${name(one)}: ${address} got ${count} copies`);
        }
      }
    }),
    check('nobody else got anything', (notes) => {
      for (const one of cases) {
        const expected = new Set(expectedRecipients(one));
        for (const { to } of one.copies) {
          for (const address of to.map(comparable)) {
            notes.holds(expected.has(address), `${name(one)}: ${address} should have got nothing`);
          }
        }
      }
      for (const { server, parsed } of strangers) {
        notes.holds(false, `${server} got a mail that nobody sent: ${parsed.messageId ?? 'without Message-ID'}`);
      }
    }),
    check('every mail came to the server of its From', (notes) => {
      for (const one of cases) {
        for (const { server } of one.copies) notes.same(name(one), server, one.example.sender.connector);
      }
    }),
    check('every server was told the right sender', (notes) => {
      for (const one of cases) {
        for (const { from } of one.copies) notes.same(name(one), comparable(from), one.example.envelopeFrom);
      }
    }),
    check('every server was talked to as it asks: TLS and login', (notes) => {
      const planOf = new Map(plans.map((plan) => [plan.connector, plan]));
      for (const { server, secure, user } of cases.flatMap(({ copies }) => copies)) {
        const plan = planOf.get(server);
        const expected = { secure: plan?.security !== 'none', user: plan?.login?.user ?? null };
        notes.same(server, { secure, user }, expected);
      }
    }),
    check('what should wait did not come early', (notes) => {
      for (const one of cases) {
        const { sendAt } = one.example.mail;
        if (sendAt === undefined) continue;
        for (const { at } of one.copies) {
          notes.holds(at >= sendAt.getTime(), `${name(one)}: ${sendAt.getTime() - at} ms early`);
        }
      }
    }),
  ];
}

function ledgerChecks({ cases, dead }: Findings): Check[] {
  return [
    check('an id that was enqueued twice was taken once', (notes) => {
      for (const one of cases) {
        if (one.example.again) notes.same(name(one), one.duplicate, true);
      }
    }),
    check('the ledger knows where every message went', (notes) => {
      for (const one of cases) {
        const { sender } = one.example;
        const { status } = one;
        notes.same(`${name(one)}: state`, status?.state, expectedState(one));
        notes.same(`${name(one)}: connector`, status?.connector, sender.connector);
        notes.same(`${name(one)}: rule`, ruleOf(one), sender.rule);
      }
    }),
    check('the ledger knows what became of every recipient', (notes) => {
      for (const one of cases) {
        const outcomes = new Map(one.status?.recipients.map((each) => [each.address, each.outcome]));
        const refused = new Set(one.example.refused.map(comparable));
        for (const address of everybody(one)) {
          const expected = refused.has(address) ? 'rejected' : 'accepted';
          notes.same(`${name(one)}: ${address}`, outcomes.get(address), expected);
        }
      }
    }),
    check('nothing took more attempts than it needed', (notes) => {
      for (const one of cases) notes.same(name(one), one.status?.attempts, one.example.deferredOnce ? 2 : 1);
    }),
    check('what was refused is a dead letter, and nothing else is', (notes) => {
      const letters = new Map(dead.map((letter) => [letter.id, letter]));
      for (const one of cases) {
        const letter = letters.get(one.id);
        const actual = letter && { reason: letter.reason, recipients: letter.recipients.map(({ address }) => address) };
        const refused = one.example.refused.map(comparable);
        notes.same(name(one), actual, refused.length === 0 ? undefined : { reason: 'rejected', recipients: refused });
        letters.delete(one.id);
      }
      for (const { id, reason } of letters.values())
        notes.holds(false, `a dead letter that nobody expects: ${id}, ${reason}`);
    }),
  ];
}

/** The rule by which the router found the connector, as the ledger's history has it. */
export function ruleOf({ status }: Pick<Case, 'status'>): string | null {
  return status?.history.find(({ event }) => event === 'routed')?.detail ?? null;
}

function expectedState({ example }: Case): string {
  if (example.refused.length === 0) return 'sent';
  return example.refused.length === example.recipients.length ? 'dead' : 'partial';
}

function everybody({ example }: Case): string[] {
  return example.recipients.map(comparable);
}

function expectedRecipients(one: Case): string[] {
  const refused = new Set(one.example.refused.map(comparable));
  return everybody(one).filter((address) => !refused.has(address));
}

function name({ example, id }: Case): string {
  return `${example.kind} (${id})`;
}
