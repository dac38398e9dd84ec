/** Compares what happened with what should have happened: who got what, and what the ledger says. `content.ts` reads the mails. */
import { check, type Check } from './checks.ts';
import { contentChecks } from './content.ts';
import { comparable, readEvidence, type Case, type Evidence, type Findings } from './evidence.ts';

/** All checks, in the order in which they are printed. Reads nothing but the evidence. */
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
    check('no other address got a copy', (notes) => {
      for (const one of cases) {
        const expected = new Set(expectedRecipients(one));
        for (const { to } of one.copies) {
          for (const address of to.map(comparable)) {
            notes.holds(expected.has(address), `${name(one)}: ${address} should have got nothing`);
          }
        }
      }
      for (const { server, parsed } of strangers) {
        notes.holds(false, `${server} got a message that was never sent: ${parsed.messageId ?? 'without Message-ID'}`);
      }
    }),
    check('every message arrived at the server of its From', (notes) => {
      for (const one of cases) {
        for (const { server } of one.copies) notes.same(name(one), server, one.example.sender.connector);
      }
    }),
    check('every server got the right envelope sender', (notes) => {
      for (const one of cases) {
        for (const { from } of one.copies) notes.same(name(one), comparable(from), one.example.envelopeFrom);
      }
    }),
    check('every server got the TLS and the login that it requires', (notes) => {
      const planOf = new Map(plans.map((plan) => [plan.connector, plan]));
      for (const { server, secure, user } of cases.flatMap(({ copies }) => copies)) {
        const plan = planOf.get(server);
        const expected = { secure: plan?.security !== 'none', user: plan?.login?.user ?? null };
        notes.same(server, { secure, user }, expected);
      }
    }),
    check('no scheduled message arrived early', (notes) => {
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
    check('an id that was enqueued twice was accepted once', (notes) => {
      for (const one of cases) {
        if (one.example.again) notes.same(name(one), one.duplicate, true);
      }
    }),
    check('the ledger knows the route of every message', (notes) => {
      for (const one of cases) {
        const { sender } = one.example;
        const { status } = one;
        notes.same(`${name(one)}: state`, status?.state, expectedState(one));
        notes.same(`${name(one)}: connector`, status?.connector, sender.connector);
        notes.same(`${name(one)}: rule`, ruleOf(one), sender.rule);
      }
    }),
    check('the ledger knows the outcome of every recipient', (notes) => {
      for (const one of cases) {
        const outcomes = new Map(one.status?.recipients.map((each) => [each.address, each.outcome]));
        const refused = new Set(one.example.refused.map(comparable));
        for (const address of recipientsOf(one)) {
          const expected = refused.has(address) ? 'rejected' : 'accepted';
          notes.same(`${name(one)}: ${address}`, outcomes.get(address), expected);
        }
      }
    }),
    check('no message took more attempts than it needed', (notes) => {
      for (const one of cases) notes.same(name(one), one.status?.attempts, one.example.deferredOnce ? 2 : 1);
    }),
    check('every rejected recipient is in a dead letter, and no other', (notes) => {
      const letters = new Map(dead.map((letter) => [letter.id, letter]));
      for (const one of cases) {
        const letter = letters.get(one.id);
        const actual = letter && { reason: letter.reason, recipients: letter.recipients.map(({ address }) => address) };
        const refused = one.example.refused.map(comparable);
        notes.same(name(one), actual, refused.length === 0 ? undefined : { reason: 'rejected', recipients: refused });
        letters.delete(one.id);
      }
      for (const { id, reason } of letters.values()) notes.holds(false, `an unexpected dead letter: ${id}, ${reason}`);
    }),
  ];
}

/** The rule by which the router found the connector, from the ledger's history. */
export function ruleOf({ status }: Pick<Case, 'status'>): string | null {
  return status?.history.find(({ event }) => event === 'routed')?.detail ?? null;
}

function expectedState({ example }: Case): string {
  if (example.refused.length === 0) return 'sent';
  return example.refused.length === example.recipients.length ? 'dead' : 'partial';
}

function recipientsOf({ example }: Case): string[] {
  return example.recipients.map(comparable);
}

function expectedRecipients(one: Case): string[] {
  const refused = new Set(one.example.refused.map(comparable));
  return recipientsOf(one).filter((address) => !refused.has(address));
}

function name({ example, id }: Case): string {
  return `${example.kind} (${id})`;
}
