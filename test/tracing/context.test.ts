/** Trace contexts as text: what is one is read, and whatever a stranger writes instead is none. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  carrierOf,
  maxCarrierChars,
  parentOf,
  readContext,
  readText,
  textOf,
  textOfCarrier,
} from '../../src/tracing/context.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';
const parent = `00-${traceId}-${spanId}-01`;

test('a traceparent and its tracestate are read and written as they were', () => {
  expect(readContext(parent)).toEqual({ traceId, spanId, traceFlags: 1, isRemote: true });
  expect(textOf(readContext(parent))).toBe(parent);
  expect(textOf(readContext(parent, 'rojo=1,congo=t61'))).toBe(`${parent} rojo=1,congo=t61`);
  const read = readText(`${parent} rojo=1,congo=t61`)!;
  expect(read.traceState?.get('congo')).toBe('t61');
  expect(parentOf(read)).toBe(parent);
});

test('a context that is not sampled stays one that is not', () => {
  expect(textOf(readContext(`00-${traceId}-${spanId}-00`))).toBe(`00-${traceId}-${spanId}-00`);
});

test('a later version of traceparent is read as far as it is known (section 3.2.4)', () => {
  expect(readContext(`01-${traceId}-${spanId}-01-more`)).toMatchObject({ traceId, spanId });
});

test.each([
  ['no text', 7],
  ['nothing', ''],
  ['an object', { traceparent: parent }],
  ['capitals', parent.toUpperCase()],
  ['zeros as the trace', `00-${'0'.repeat(32)}-${spanId}-01`],
  ['zeros as the span', `00-${traceId}-${'0'.repeat(16)}-01`],
  ['the forbidden version', `ff-${traceId}-${spanId}-01`],
  ['more than version 00 has', `${parent}-more`],
  ['a line end', `${parent}\r\nX-Injected: 1`],
  ['two of them, as Node joins headers', `${parent}, ${parent}`],
  ['a text without end', `01-${traceId}-${spanId}-01-${'x'.repeat(100_000)}`],
])('%s is no traceparent', (_what, given) => {
  expect(readContext(given)).toBeNull();
  expect(textOf(readContext(given))).toBe('');
});

test.each([
  ['too long', `a=${'x'.repeat(600)}`],
  ['without a value', 'abc'],
  ['with a line end', 'a=b\r\nc: d'],
  ['no text', ['a=b']],
])('a tracestate that is %s is left out, and the traceparent counts', (_what, state) => {
  expect(textOf(readContext(parent, state))).toBe(parent);
});

test('a carrier of BullMQ is read for its two fields, and for nothing else', () => {
  expect(textOfCarrier(JSON.stringify({ traceparent: parent, baggage: 'user=me', b3: '0' }))).toBe(parent);
  expect(textOfCarrier(carrierOf(`${parent} rojo=1`))).toBe(`${parent} rojo=1`);
  expect(carrierOf(parent)).toBe(`{"traceparent":"${parent}"}`);
  expect(carrierOf('')).toBe('');
});

test.each([
  'null',
  '[]',
  '"x"',
  '7',
  '{',
  '{"traceparent":{}}',
  '{"traceparent":["00"]}',
  `{"__proto__":{"traceparent":"${parent}"}}`,
  '['.repeat(9_000),
  ' '.repeat(maxCarrierChars + 1),
])('a hostile carrier %# is no context', (carrier) => {
  expect(textOfCarrier(carrier)).toBe('');
});

test('whatever is read from a carrier is a context that can be written again', () => {
  const field = fc.oneof(fc.constant(parent), fc.string(), fc.jsonValue());
  const carriers = fc.oneof(
    fc
      .record({ traceparent: field, tracestate: fc.oneof(fc.constant('a=b'), field) })
      .map((each) => JSON.stringify(each)),
    fc.string(),
    fc.json(),
  );
  fc.assert(
    fc.property(carriers, (carrier) => {
      const text = textOfCarrier(carrier);
      expect(textOf(readText(text))).toBe(text);
      expect(text.length).toBeLessThanOrEqual(55 + 1 + 512);
      // oxlint-disable-next-line no-control-regex -- the range is ASCII
      expect(text).toMatch(/^[\x20-\x7e]*$/);
    }),
  );
});
