/** Where webhooks must not go, judged for the address of each connection. */
import type { LookupAddress } from 'node:dns';
import { expect, test } from 'vitest';
import { createEgress, RefusedAddress } from '../../src/webhooks/egress.ts';

test.for([
  '169.254.169.254',
  '169.254.0.1',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  'fe80::1',
  'fe80::1%eth0',
  'febf::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe',
  '::169.254.169.254',
  '64:ff9b::169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  '2002:a9fe:a9fe::1',
  '::ffff:0:169.254.169.254',
  '[fd00:ec2::254]',
])('SSRF: %s is refused', (address) => {
  expect(createEgress().refuses(address)).toBe(true);
});

test.for([
  '127.0.0.1',
  '::1',
  '10.0.0.1',
  '192.168.1.1',
  '172.16.0.1',
  'fd00::1',
  '100.64.0.1',
  '203.0.113.1',
  '2001:db8::1',
])('%s is allowed: neighbours are notified, too', (address) => {
  expect(createEgress().refuses(address)).toBe(false);
});

test.for([
  ['decimal', 'http://2852039166/'],
  ['hexadecimal', 'http://0xa9fea9fe/'],
  ['octal', 'http://0251.0376.0251.0376/'],
  ['short', 'http://169.254.43518/'],
  ['mapped', 'http://[::ffff:169.254.169.254]/'],
])('SSRF: an address in %s form is refused, as the URL is read before it is judged', ([, url = '']) => {
  expect(createEgress().refuses(new URL(url).hostname)).toBe(true);
});

const resolving = (...found: LookupAddress[]) =>
  createEgress(((_name: string, _options: unknown, done: (error: null, found: LookupAddress[]) => void) => {
    done(null, found);
  }) as never);

const ask = (egress: ReturnType<typeof createEgress>, all: boolean): Promise<unknown> =>
  new Promise((resolve) => {
    egress.lookup('name.example', { all }, (error, address) => resolve(error ?? address));
  });

test('SSRF: a name that resolves to a refused address, also beside good ones, is refused at each connection', async () => {
  const good = { address: '203.0.113.1', family: 4 };
  for (const all of [true, false]) {
    expect(await ask(resolving(good, { address: '169.254.169.254', family: 4 }), all)).toBeInstanceOf(RefusedAddress);
    expect(await ask(resolving({ address: '::ffff:169.254.169.254', family: 6 }), all)).toBeInstanceOf(RefusedAddress);
  }
  expect(await ask(resolving(good), true)).toEqual([good]);
  expect(await ask(resolving(good), false)).toBe('203.0.113.1');
});
