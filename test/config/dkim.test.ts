/** `smtp.dkim`: which keys are taken, and that no mistake shows one. */
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { dkimKey } from '../support/dkim.ts';
import { goodConfig, loadText } from './load-text.ts';

const text = (dkim: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({
    hostname: 'a.example',
    systemDefaultGateway: 'c',
    connectors: { c: { direction: 'outgoing', smtp: { host: 'a.example', dkim } } },
  });
const pem = (type: 'rsa' | 'ec', passphrase?: string): string => {
  const { privateKey } =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 512 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const sealed = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
  return privateKey.export({ type: 'pkcs8', format: 'pem', ...sealed }).toString();
};
const good = { domain: 'BÜCHER.example', selector: 'S1.Mail', key: dkimKey(1_024).privateKey };

test('domain and selector are taken in their form in DNS', async () => {
  const config = await goodConfig(text(good));
  expect(config.connectors[0]!.dkim).toEqual({
    domain: 'xn--bcher-kva.example',
    selector: 's1.mail',
    privateKey: good.key,
  });
});

test.each([
  ['a key of 512 bits', { key: pem('rsa') }, 'dkim-key'],
  ['a key of another kind', { key: pem('ec') }, 'dkim-key'],
  ['a key with a passphrase', { key: pem('rsa', 'secret') }, 'dkim-key'],
  ['what is no key', { key: 'dkim' }, 'dkim-key'],
  ['a selector that would begin another tag', { selector: 's1; d=evil.example' }, 'dkim-selector'],
  ['a selector with a line break', { selector: 's1\r\nBcc: x@y.example' }, 'dkim-selector'],
  ['a domain that is none', { domain: 'a b.example' }, 'hostname'],
  ['a top-level domain', { domain: 'example' }, 'hostname'],
])('%s is refused, and the key is not shown', async (_title, change, rule) => {
  const result = await loadText(text({ ...good, ...change }));
  const issues = result.ok ? [] : result.issues;
  expect(issues.map((each) => each.rule)).toEqual([rule]);
  expect(JSON.stringify(issues)).not.toContain('PRIVATE KEY');
});
