/**
 * Which form the stored data of an installation has, so that workers of two releases can share it, or wait.
 *
 *   version   the newest form that a worker has written here
 *   reads     the least form that a program must know to work with what is here
 *
 * A release that only adds fields raises `version`: older programs ignore the fields and keep them. A release whose rows, lanes or
 * dead letters an older one would get wrong raises `reads` before it writes the first of them, and older workers then wait.
 * A job says its own form in `v` and waits alone. docs/decisions/0020-stored-forms-have-a-version.md
 */

/**
 * The form of this release. 2: a message in a lane may have the data of its producer, with what the router says of it beside that; a
 * worker of form 1 would take it for invalid.
 */
export const storedForm = { version: 2, reads: 2 } as const;

/** The form of rows that say their own in `v`. */
export const ownForm = 1;
/** The same of jobs. 2: the message is sealed. */
export const jobForm = 2;

/** Of a job, a row or an installation: more would be no version that a release could have. */
const mostVersions = 10_000;

/** `newer`: of a later release than the one with form `newest`, which knows what it means. `none`: not a version at all. */
export function versionKind(value: unknown, newest: number): 'known' | 'newer' | 'none' {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > mostVersions) return 'none';
  return value <= newest ? 'known' : 'newer';
}
