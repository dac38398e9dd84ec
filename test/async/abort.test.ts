/** Work that a signal may end first: what the caller gets, and that no listener stays on the signal. */
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { abortable, interruptible } from '../../src/async/abort.ts';

const pending = <T>(): Promise<T> => new Promise(() => undefined);
const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

test('abortable work that ends before its signal gives its own result and leaves no listener', async () => {
  const { signal } = new AbortController();
  expect(await abortable(Promise.resolve('work'), signal, () => 'aborted')).toBe('work');
  await expect(abortable(Promise.reject(new Error('broken')), signal, () => 'aborted')).rejects.toThrow('broken');
  expect(listeners(signal)).toBe(0);
});

test('abortable work whose signal comes first gives what stands in for it, or throws that', async () => {
  const stop = new AbortController();
  const given = abortable(pending<string>(), stop.signal, () => 'aborted');
  const thrown = abortable(pending(), stop.signal, () => {
    throw new Error('aborted');
  });
  stop.abort();
  expect(await given).toBe('aborted');
  await expect(thrown).rejects.toThrow('aborted');
});

test('a signal that came before the work wins, and a later rejection of the work is no unhandled one', async () => {
  expect(await abortable(Promise.reject(new Error('late')), AbortSignal.abort(), () => 'aborted')).toBe('aborted');
});

test('interruptible work is told of its signal once, also if that came before, and its listener goes', async () => {
  const stop = new AbortController();
  let end = (): void => undefined;
  let told = 0;
  const begin = (): Promise<string> => new Promise((resolve) => (end = () => resolve('ended')));
  const onAbort = (): void => {
    told += 1;
    end();
  };
  const running = interruptible(stop.signal, onAbort, begin);
  stop.abort();
  expect([await running, told, listeners(stop.signal)]).toEqual(['ended', 1, 0]);
  expect([await interruptible(stop.signal, onAbort, begin), told]).toEqual(['ended', 2]);
});
