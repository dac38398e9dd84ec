/** The id by which a server took a message, in the words of the servers in use. */
import { expect, test } from 'vitest';
import { serverIdOf } from '../../../src/queue/journal/server-ids.ts';

test.each([
  ['2.0.0 Ok: queued as 4XyZ12abcDz1', '4XyZ12abcDz1'],
  ['Ok: queued as 0A1B2C3D4E', '0A1B2C3D4E'],
  ['OK id=1u2ABC-000000001Xy-1aBc', '1u2ABC-000000001Xy-1aBc'],
  [
    '2.6.0 <m.1@example.com> [InternalId=123, Hostname=AM0.prod.outlook.com] 9 bytes in 0.1, 8 KB/sec Queued mail for delivery',
    'm.1@example.com',
  ],
  ['2.0.0 49A1xyz012345 Message accepted for delivery', '49A1xyz012345'],
  ['2.0.0 OK  1732750000 ffacd0b85a97d-385fb3si1234567wrx.12 - gsmtp', 'ffacd0b85a97d-385fb3si1234567wrx.12'],
  [
    'Ok 0102018c7f3e4a5b-1f2e3d4c-0000-1111-2222-333344445555-000000',
    '0102018c7f3e4a5b-1f2e3d4c-0000-1111-2222-333344445555-000000',
  ],
  ['Message Queued (7F3A9C21-0001)', '7F3A9C21-0001'],
  ['2.0.0 Ok', null],
  ['Ok: queued as delivered', null],
  ['message accepted for delivery', null],
  ['', null],
])('%s', (reply, id) => {
  expect(serverIdOf(reply)).toBe(id);
});

test('hostile input: a long reply costs no more than its beginning', () => {
  const begins = performance.now();
  serverIdOf(`queued as ${'a'.repeat(1_000_000)}`);
  serverIdOf('id='.repeat(300_000));
  expect(performance.now() - begins).toBeLessThan(100);
});
