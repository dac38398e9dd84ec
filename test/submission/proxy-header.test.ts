/** PROXY headers of both versions: what they say, and what is none. */
import { expect, test } from 'vitest';
import { readProxyHeader } from '../../src/submission/proxy-header.ts';

const read = (text: string | Buffer) => readProxyHeader(Buffer.from(text as string));
const binary = (command: number, family: number, body: Buffer): Buffer => {
  const head = Buffer.from([
    0x0d,
    0x0a,
    0x0d,
    0x0a,
    0,
    0x0d,
    0x0a,
    0x51,
    0x55,
    0x49,
    0x54,
    0x0a,
    0x20 | command,
    family,
    0,
    0,
  ]);
  head.writeUInt16BE(body.length, 14);
  return Buffer.concat([head, body]);
};
const ipv4 = Buffer.from([203, 0, 113, 9, 10, 0, 0, 1, 0x15, 0xb3, 2, 75]);

test.each([
  [
    'PROXY TCP4 203.0.113.9 10.0.0.1 5555 587\r\nEHLO',
    { kind: 'read', client: { address: '203.0.113.9', port: 5555 }, bytes: 42 },
  ],
  [
    'PROXY TCP6 2001:db8::9 ::1 5555 587\r\n',
    { kind: 'read', client: { address: '2001:db8::9', port: 5555 }, bytes: 37 },
  ],
  ['PROXY UNKNOWN\r\n', { kind: 'read', client: null, bytes: 15 }],
  [
    binary(1, 0x11, Buffer.concat([ipv4, Buffer.alloc(40)])),
    { kind: 'read', client: { address: '203.0.113.9', port: 5555 }, bytes: 68 },
  ],
  [binary(0, 0x00, Buffer.alloc(0)), { kind: 'read', client: null, bytes: 16 }],
])('%j is read', (text, expected) => {
  expect(read(text)).toEqual(expected);
});

test('an IPv6 address of version 2 is read', () => {
  const body = Buffer.alloc(36);
  body.writeUInt16BE(0x2001, 0);
  body.writeUInt16BE(9, 14);
  body.writeUInt16BE(5555, 32);
  expect(read(binary(1, 0x21, body))).toMatchObject({ client: { address: '2001:0:0:0:0:0:0:9', port: 5555 } });
});

test('every beginning of a header waits for more', () => {
  for (const whole of [Buffer.from('PROXY TCP4 203.0.113.9 10.0.0.1 5555 587\r\n'), binary(1, 0x11, ipv4)]) {
    for (let length = 1; length < whole.length; length += 1) {
      expect(read(whole.subarray(0, length))).toEqual({ kind: 'more' });
    }
  }
});

test.each([
  'EHLO me\r\n',
  'PROXY TCP4 203.0.113.9 10.0.0.1 5555\r\n',
  'PROXY TCP4 2001:db8::9 ::1 5555 587\r\n',
  'PROXY TCP4 203.0.113.9 10.0.0.1 55555555 587\r\n',
  'PROXY TCP4 x\u0000y 10.0.0.1 5555 587\r\n',
  `PROXY TCP4 ${'1'.repeat(200)}`,
  binary(2, 0x11, ipv4),
  binary(1, 0x31, ipv4),
  binary(1, 0x11, Buffer.alloc(4)),
  binary(1, 0x11, Buffer.alloc(60_000)),
])('%j is refused', (text) => {
  expect(read(text)).toMatchObject({ kind: 'bad' });
});
