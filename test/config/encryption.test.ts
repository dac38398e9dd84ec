/** `encryption`: keys from files, and each mistake with its line and without a key. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createSealing } from '../../src/sealing/sealing.ts';
import { goodConfig, loadText, mistakes } from './load-text.ts';

const base = `redis: { url: "redis://127.0.0.1:6379" }
hostname: mail.example.com
systemDefaultGateway: relay
connectors:
  relay: { direction: outgoing, smtp: { host: smtp.example.com } }
`;
const [good, other] = [randomBytes(32).toString('base64'), randomBytes(32).toString('hex')];

test('without the section nothing is sealed', async () => {
  const { encryption } = await goodConfig(base);
  expect(encryption).toBeNull();
  expect(createSealing(encryption).seal).toBeNull();
});

test('keys are read from files and the environment, with the line end of the file', async () => {
  const section = 'encryption: { active: k2, keys: { k1: "${file:/run/k1}", k2: "${K2}" } }\n';
  const { encryption } = await goodConfig(base + section, { env: { K2: other }, files: { '/run/k1': `${good}\n` } });
  const sealing = createSealing(encryption);
  expect(sealing.keyring.names).toEqual(['k1', 'k2']);
  expect(sealing.keyring.sealing?.name).toBe('k2');
  expect(sealing.required).toBe(false);
});

test.each([
  [['encryption:', '  active: k1', '  keys:', '    k1: secret-password'], ['9 encryption-key encryption.keys.k1']],
  [['encryption:', '  active: k9', '  keys:', `    k1: "${good}"`], ['7 encryption-active encryption.active']],
  [['encryption:', '  keys:', `    k1: "${good}"`], ['6 required encryption.active']],
  [['encryption:', '  active: k1'], ['6 required encryption.keys']],
  [['encryption:', '  active: K1', '  keys:', `    K1: "${good}"`], ['9 encryption-key-name encryption.keys.K1']],
  [
    ['encryption:', '  active: k1', '  keys:', `    k1: "${good}"`, `    k2: "${good}"`],
    ['10 encryption-key-twice encryption.keys.k2'],
  ],
  [
    ['encryption:', '  active: k1', '  keys:', `    k1: "${good}"`, '  required: true'],
    ['10 unknown-key encryption.required'],
  ],
  [
    [
      'encryption:',
      '  active: k1',
      '  keys:',
      ...Array.from({ length: 65 }, (_, i) => `    k${i}: "${randomBytes(32).toString('hex')}"`),
    ],
    ['8 encryption-key-count encryption.keys'],
  ],
])('mistake %#: %j', async (lines, expected) => {
  const text = `${base}${lines.join('\n')}\n`;
  expect(await mistakes(text)).toEqual(expected);
  const result = await loadText(text);
  const said = JSON.stringify(result.ok ? [] : result.issues);
  for (const secret of [good, 'secret-password']) expect(said).not.toContain(secret);
});
