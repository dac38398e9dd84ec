/** The files of the dashboard that are served as they are, and the icons. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** Beside `src` and `dist` alike. */
const folder = new URL('../../../assets/dashboard/', import.meta.url);

export interface Asset {
  readonly body: string;
  readonly type: string;
  readonly etag: string;
}

export interface Assets {
  readonly files: ReadonlyMap<string, Asset>;
  /** Symbols by name, as markup. */
  readonly icons: ReadonlyMap<string, string>;
}

const types: Readonly<Record<string, string>> = {
  'style.css': 'text/css; charset=utf-8',
  'live.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};

export async function readAssets(): Promise<Assets> {
  const files = await Promise.all(
    Object.entries(types).map(async ([name, type]) => {
      const body = await readFile(new URL(name, folder), 'utf8');
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
      return [name, { body, type, etag }] as const;
    }),
  );
  const sprite = await readFile(new URL('icons.svg', folder), 'utf8');
  const icons = [...sprite.matchAll(/<symbol id="i-([a-z0-9]+)".*?<\/symbol>/gs)].map(
    ([text, name]) => [name ?? '', text] as const,
  );
  return { files: new Map(files), icons: new Map(icons) };
}
