/** `delivery`: who may get mail, and combinations that are mistakes, each with its line. */
import { expect, test } from 'vitest';
import { deliveryRulesOf } from '../../src/worker/delivery-rules.ts';
import { project } from '../support/cli.ts';

const base = `redis: { url: "redis://127.0.0.1:6379" }
hostname: mail.example.com
systemDefaultGateway: relay
connectors:
  relay: { direction: outgoing, smtp: { host: smtp.example.com } }
`;

async function check(section: string) {
  const here = project(`${base}${section}\n`);
  const { code, values } = await here.callJson(['check']);
  const { issues, warnings } = values[0] as Record<
    'issues' | 'warnings',
    { line: number; rule: string; message: string }[]
  >;
  const short = (list: typeof issues): string[] => list.map(({ line, rule }) => `${line} ${rule}`);
  return {
    here,
    code,
    issues: short(issues),
    warnings: short(warnings),
    messages: warnings.map(({ message }) => message),
  };
}

test.each([
  ['delivery: { redirectTo: a@x.example, allowRecipients: [b@x.example] }', ['6 delivery-redirect']],
  ['delivery: { redirectTo: a@x.example, allowRecipients: [] }', ['6 delivery-redirect']],
  ['delivery: { redirectTo: nobody }', ['6 address']],
  ['delivery: { allowRecipients: ["*"] }', ['6 address-pattern']],
  ['delivery: { allowRecipients: everyone }', ['6 type']],
  ['delivery: { redirect: a@x.example }', ['6 unknown-key']],
])('%s is a mistake', async (section, issues) => {
  expect(await check(section)).toMatchObject({ code: 2, issues });
});

test.each([
  ['delivery: { redirectTo: A@X.example }', 'all mail goes to A@x.example instead of its recipients'],
  ['delivery: { allowRecipients: [] }', 'no recipient gets mail'],
  [
    'delivery: { allowRecipients: ["*@x.example"] }',
    'only recipients that fit 1 pattern get mail; all others are suppressed',
  ],
  [
    'delivery: { redirectTo: A@BÜCHER.example, allowRecipients: [b@x.example, "*@xn--bcher-kva.example"] }',
    'only recipients that fit 2 patterns get their mail; all other mail goes to A@xn--bcher-kva.example',
  ],
])('%s is valid, and every command that shows mail says so', async (section, words) => {
  const { here, code, warnings, messages } = await check(section);
  expect([code, warnings, messages]).toEqual([0, ['6 delivery-restricted'], [`is in force: ${words}`]]);
  for (const args of [['check'], ['explain', 'a@example.com']]) {
    expect((await here.call(args)).stderr).toContain(`DELIVERY IS RESTRICTED: ${words}`);
  }
});

test.each(['', 'delivery: {}', 'delivery: { redirectTo: null, allowRecipients: null }'])(
  'without a restriction (%s) nothing is said',
  async (section) => {
    const { here, code, warnings } = await check(section);
    expect([code, warnings]).toEqual([0, []]);
    expect((await here.call(['check'])).stderr).not.toContain('RESTRICTED');
  },
);

test('who gets the mail of others gets its own', () => {
  const rules = deliveryRulesOf({ redirectTo: 'Zoë@x.example', allowRecipients: null })!;
  expect(rules.allows('ZOË@X.example')).toBe(true);
  expect(rules.allows('zoe@x.example')).toBe(false);
  expect(deliveryRulesOf({ redirectTo: null, allowRecipients: null })).toBeNull();
});
