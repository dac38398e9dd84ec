/** What is packed is what Lua gets, whatever it is. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPacking } from '../../../src/queue/lua/packing.ts';
import type { ScriptValue } from '../../../src/queue/lua/script.ts';
import { testConnection } from '../../support/redis.ts';

const unpacked = `local found = cmsgpack.unpack(ARGV[1])
for i, each in ipairs(found) do found[i] = type(each) .. ' ' .. (type(each) == 'number' and string.format('%.0f', each) or each) end
return found`;

const seenInLua = (value: ScriptValue): string => `string ${value.toString()}`;

test('text of any characters and length, bytes and numbers come out of a pack as they are in ARGV', async () => {
  const redis = testConnection();
  const packing = createPacking();
  const long = fc
    .constantFrom(5_000, 21_843, 21_844, 70_000)
    .chain((length) => fc.constantFrom('a', 'ä', '€', '🙂').map((character) => character.repeat(length)));
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string(),
    fc.maxSafeInteger(),
    fc.string().map((text) => Buffer.from(text)),
    { arbitrary: long, weight: 1 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(value, { maxLength: 40 }), async (values) => {
      for (const each of values) packing.value(each);
      // ARGV has what UTF-8 makes of half a surrogate pair, too.
      expect(await redis.eval(unpacked, 0, packing.take())).toEqual(values.map(seenInLua));
    }),
    { numRuns: 100 },
  );
});

test('a whole number is a number in Lua', async () => {
  const packing = createPacking();
  const numbers = [0, 1, 127, 128, 65_535, 65_536, 2 ** 32 - 1];
  for (const each of numbers) packing.number(each);
  const found = await testConnection().eval(unpacked, 0, packing.take());
  expect(found).toEqual(numbers.map((each) => `number ${each}`));
});

test('a pack that was taken does not change with the next one', () => {
  const packing = createPacking();
  packing.value('first');
  const first = packing.take();
  const before = Buffer.from(first);
  packing.value('other');
  packing.take();
  expect(first).toEqual(before);
});
