/**
 * Prints the section of CHANGELOG.md for a release, or fails if the release may not be published.
 *
 * node tools/release-notes.mjs v1.2.3
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * @param {string} tag such as `v1.2.3`
 * @param {string} version of package.json
 * @param {string} changelog the text of CHANGELOG.md
 * @returns {string}
 * @throws Error that says what to do first
 */
export function releaseNotes(tag, version, changelog) {
  if (tag !== `v${version}`) throw new Error(`The tag is ${tag}, and package.json has version ${version}.`);
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.startsWith(`[${version}]`));
  if (section === undefined) throw new Error(`CHANGELOG.md has no section [${version}].`);
  const [heading = '', ...lines] = section.split('\n');
  if (!/^\[\S+\] - \d{4}-\d{2}-\d{2}$/.test(heading)) throw new Error(`CHANGELOG.md: [${version}] has no date.`);
  const notes = lines.join('\n').trim();
  if (notes === '') throw new Error(`CHANGELOG.md: [${version}] is empty.`);
  const unreleased = sections
    .find((text) => text.startsWith('[Unreleased]'))
    ?.split('\n')
    .slice(1)
    .join('')
    .trim();
  if (unreleased) throw new Error(`CHANGELOG.md: [Unreleased] still has entries; move them to [${version}].`);
  return `${notes}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const read = (/** @type {string} */ path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
  try {
    const { version } = JSON.parse(read('package.json'));
    process.stdout.write(releaseNotes(process.argv[2] ?? '', version, read('CHANGELOG.md')));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
