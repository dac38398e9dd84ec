/** Large data is read by a command of its own. */
import { expect, test } from 'vitest';
import { withData } from '../../../src/queue/bullmq/apart-data.ts';

const values = (data: string | null): (string | null)[] => ['m', '', '5', '1', '0', data, ''];

test('what the script gave is not read again', async () => {
  const read = (): Promise<string> => Promise.reject(new Error('read'));
  expect(await withData(read, 'key', values('{}'), 10)).toEqual(['m', '', '5', '1', '0', '{}', '']);
});

test('what is read apart is given whole; what is gone by then, or has grown beyond the bound, is not', async () => {
  const asked: string[] = [];
  const reading = (data: string | null) => async (key: string, field: string) => {
    asked.push(key, field);
    return data;
  };
  expect((await withData(reading('{"v":1}'), 'key', values(null), 10))?.[5]).toBe('{"v":1}');
  expect(await withData(reading(null), 'key', values(null), 10)).toBeNull();
  expect(await withData(reading('x'.repeat(11)), 'key', values(null), 10)).toBeNull();
  expect(asked.slice(0, 2)).toEqual(['key', 'data']);
});
