/** Owns reading the error of a call that is expected to fail. */
import { expect } from 'vitest';
import { PostlaneError } from '../../src/errors.ts';

/** The error that `work` rejects with; fails the test if it resolves, or rejects with anything but a PostlaneError. */
export async function rejection(work: Promise<unknown>): Promise<PostlaneError> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PostlaneError);
  return error as PostlaneError;
}
