/** Holds the gate of a release: tag, version and changelog agree, and nothing is unreleased. */
import { expect, test } from 'vitest';
import { releaseNotes } from '../../tools/release-notes.mjs';
import { textOf } from '../support/source.ts';

const changelog = `# Changelog

## [Unreleased]

## [1.2.3] - 2026-01-31

### Added

- A thing.

## [1.2.2] - 2026-01-01

- An older thing.
`;

test('prints the changelog section of the version', () => {
  expect(releaseNotes('v1.2.3', '1.2.3', changelog)).toBe('### Added\n\n- A thing.\n');
  expect(releaseNotes('v1.2.2', '1.2.2', changelog)).toBe('- An older thing.\n');
});

test.each([
  [
    'the tag is of another version',
    'v1.2.4',
    '1.2.3',
    changelog,
    'The tag is v1.2.4, and package.json has version 1.2.3.',
  ],
  ['the tag is a branch', 'main', '1.2.3', changelog, 'The tag is main'],
  ['the changelog does not have the version', 'v1.3.0', '1.3.0', changelog, 'has no section [1.3.0]'],
  ['only a longer version matches', 'v1.2', '1.2', changelog, 'has no section [1.2]'],
  ['the section has no date', 'v1.2.3', '1.2.3', changelog.replace(' - 2026-01-31', ''), '[1.2.3] has no date'],
  ['the section is empty', 'v1.2.3', '1.2.3', changelog.replace('### Added\n\n- A thing.', ''), '[1.2.3] is empty'],
  [
    'an entry is still unreleased',
    'v1.2.3',
    '1.2.3',
    changelog.replace('[Unreleased]\n', '[Unreleased]\n\n- A new thing.\n'),
    '[Unreleased] still has entries; move them to [1.2.3]',
  ],
])('refuses a release if %s', (_, tag, version, text, message) => {
  expect(() => releaseNotes(tag, version, text)).toThrow(message);
});

test('the changelog of this repository has a section for what comes next or what is released', () => {
  expect(textOf('CHANGELOG.md')).toMatch(/^## \[(Unreleased|\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2})/m);
});
