/** Owns reading the commands and the examples of docs/install.md. */
import { textOf } from './source.ts';

function sectionOf(title: string): string {
  const section = textOf('docs/install.md').split(`\n## ${title}\n`)[1]?.split('\n## ')[0];
  if (section === undefined) throw new Error(`docs/install.md has no section ${title}`);
  return section;
}

const blocks = (title: string, language: string): string[] =>
  [...sectionOf(title).matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  );

/** The lines of all shell blocks of a section, without comments. */
export function commandsOf(title: string): string[] {
  return blocks(title, 'sh')
    .flatMap((text) => text.split('\n'))
    .map((line) => line.replace(/(?:^|\s+)#.*$/, ''))
    .filter((line) => line !== '');
}

/** The YAML blocks of a section. */
export function yamlOf(title: string): string[] {
  return blocks(title, 'yaml');
}

/** As a shell splits it: quotes keep blanks together, and `&` at the end is none of the command's. */
export function wordsOf(line: string): string[] {
  const words = line.replace(/ &$/, '').match(/"[^"]*"|\S+/g) ?? [];
  return words.map((word) => word.replaceAll('"', ''));
}
