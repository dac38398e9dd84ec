/** Files that an operator names: only regular ones of bounded size are read, and only UTF-8 text is a value. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeText, maxConfigFileBytes, readRegularFile } from '../../src/config/files.ts';
import { loadConfig } from '../../src/config/load.ts';
import { withConnector } from './load-text.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'postlane-files-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A path of each kind that is not a regular file. */
const traps: readonly [string, string, (at: string) => Promise<string> | string][] = [
  ['a FIFO without a writer', 'it is a FIFO, not a regular file', (at) => (execFileSync('mkfifo', [at]), at)],
  ['a directory', 'it is a directory, not a regular file', (at) => (mkdirSync(at), at)],
  ['/dev/zero', 'it is a device, not a regular file', () => '/dev/zero'],
  ['/dev/random', 'it is a device, not a regular file', () => '/dev/random'],
  ['a symlink to a device', 'it is a device, not a regular file', (at) => (symlinkSync('/dev/zero', at), at)],
  ['a symlink to itself', 'ELOOP', (at) => (symlinkSync(at, at), at)],
  ['a missing file', 'ENOENT', (at) => at],
  ['a path through a file', 'ENOTDIR', (at) => (writeFileSync(at, ''), join(at, 'x'))],
  [
    'a Unix socket',
    'ENXIO',
    async (at) => {
      const server = createServer();
      await new Promise<void>((resolve) => {
        server.listen(at, resolve);
      });
      onTestFinished(() => void server.close());
      return at;
    },
  ],
];

describe('readRegularFile()', () => {
  test.each(traps)('refuses %s at once', async (_name, problem, make) => {
    const path = await make(join(folder(), 'trap'));
    expect(await readRegularFile(path, 1_000)).toEqual({ ok: false, problem });
  });

  test('reads a file up to the limit, and refuses one byte more', async () => {
    const path = join(folder(), 'file');
    writeFileSync(path, 'x'.repeat(1_000));
    expect(await readRegularFile(path, 1_000)).toEqual({ ok: true, bytes: Buffer.alloc(1_000, 'x') });
    appendFileSync(path, 'x');
    expect(await readRegularFile(path, 1_000)).toEqual({ ok: false, problem: 'it has more than 1000 bytes' });
  });

  test('reads a file that claims to be empty, up to the limit', async () => {
    // Files of /proc have no size; this one has a few hundred bytes.
    const read = await readRegularFile('/proc/self/status', 100_000);
    expect(read.ok && read.bytes.toString()).toMatch(/^Name:/);
    expect(await readRegularFile('/proc/self/status', 20)).toEqual({ ok: false, problem: 'it has more than 20 bytes' });
  });

  test('reads an empty file', async () => {
    const path = join(folder(), 'empty');
    writeFileSync(path, '');
    expect(await readRegularFile(path, 10)).toEqual({ ok: true, bytes: Buffer.alloc(0) });
  });

  test('reads a file larger than its first chunk whole', async () => {
    const path = join(folder(), 'large');
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
    writeFileSync(path, bytes);
    const read = await readRegularFile(path, 300_000);
    expect(read.ok && read.bytes.equals(bytes)).toBe(true);
  });
});

describe('decodeText()', () => {
  test.each<[string, Buffer, ReturnType<typeof decodeText>]>([
    ['UTF-8', Buffer.from('pässword'), { ok: true, text: 'pässword' }],
    ['a byte order mark before UTF-8', Buffer.from('\ufeffs3cret'), { ok: true, text: 's3cret' }],
    ['Latin-1', Buffer.from('pässword', 'latin1'), { ok: false, problem: 'it is not UTF-8 text' }],
    ['UTF-16LE with its mark', Buffer.from('\ufeffs3cret', 'utf16le'), { ok: false, problem: 'it is not UTF-8 text' }],
    [
      'UTF-16BE with its mark',
      Buffer.from('\ufeffs3', 'utf16le').swap16(),
      { ok: false, problem: 'it is not UTF-8 text' },
    ],
    [
      'UTF-16LE without a mark',
      Buffer.from('s3cret', 'utf16le'),
      { ok: false, problem: 'it contains a NUL character' },
    ],
    ['a NUL', Buffer.from('s3\0cret'), { ok: false, problem: 'it contains a NUL character' }],
  ])('of %s', (_name, bytes, expected) => {
    expect(decodeText(bytes)).toEqual(expected);
  });
});

describe('the configuration', () => {
  const load = async (text: string, files: Record<string, string | Buffer> = {}) => {
    const cwd = folder();
    for (const [name, content] of Object.entries(files)) writeFileSync(join(cwd, name), content);
    writeFileSync(join(cwd, 'postlane.yaml'), text);
    return loadConfig({ env: {}, cwd });
  };
  const withPassword = withConnector(
    'direction: outgoing\nsmtp: { host: a.example, auth: { user: u, password: "${file:secret}" } }',
  );

  test('above 1 MiB is refused before it is parsed', async () => {
    const result = await load(`# ${'x'.repeat(maxConfigFileBytes)}\n${withPassword}`);
    expect(!result.ok && result.issues).toMatchObject([
      { rule: 'file-unreadable', line: 0, message: expect.stringContaining('it has more than 1048576 bytes') },
    ]);
  });

  test.each(['/dev/zero', '/dev/random', '/dev/tty', '/proc/kmsg', '/'])('of --config %s is refused', async (file) => {
    const result = await loadConfig({ env: {}, cwd: '/', file });
    expect(!result.ok && result.issues.map(({ rule }) => rule)).toEqual(['file-unreadable']);
  });

  test('that is a FIFO is refused, and a secret that is one too', async () => {
    const cwd = folder();
    execFileSync('mkfifo', [join(cwd, 'fifo')]);
    const direct = await loadConfig({ env: {}, cwd, file: 'fifo' });
    expect(!direct.ok && direct.issues[0]?.message).toContain('it is a FIFO');
    writeFileSync(join(cwd, 'postlane.yaml'), withPassword.replace('file:secret', 'file:fifo'));
    const referring = await loadConfig({ env: {}, cwd });
    expect(!referring.ok && referring.issues).toMatchObject([
      { rule: 'missing-file', line: 6, message: expect.stringContaining('which cannot be read (it is a FIFO') },
    ]);
  });

  test('reports a PEM path that is a device as a mistake', async () => {
    const text = withConnector('direction: outgoing\nsmtp: { host: a.example, tls: { ca: fifo.pem } }');
    const cwd = folder();
    execFileSync('mkfifo', [join(cwd, 'fifo.pem')]);
    writeFileSync(join(cwd, 'postlane.yaml'), text);
    const result = await loadConfig({ env: {}, cwd });
    expect(!result.ok && result.issues).toMatchObject([{ rule: 'missing-file', key: 'connectors.c.smtp.tls.ca' }]);
  });

  test.each<[string, Buffer | string, string]>([
    ['with a byte order mark', '\ufeffs3cret', 's3cret'],
    ['with several line ends', 's3cret\r\n\n', 's3cret'],
    ['with blanks that belong to it', ' s3 cret \n', ' s3 cret '],
  ])('reads a secret %s without what is not part of it', async (_name, content, expected) => {
    const result = await load(withPassword, { secret: content });
    expect(result).toMatchObject({ ok: true });
    const transport = result.ok ? result.config.connectors[0]?.transport : null;
    expect(transport?.kind === 'smtp' && transport.smtp.auth).toEqual({ user: 'u', password: expected });
  });

  test.each<[string, Buffer]>([
    ['UTF-16', Buffer.from('\ufeffs3cret', 'utf16le')],
    ['Latin-1', Buffer.from('pässword', 'latin1')],
    ['a NUL', Buffer.from('s3\0cret')],
  ])('takes a secret of %s as a mistake, not as a wrong password', async (_name, content) => {
    const result = await load(withPassword, { secret: content });
    expect(!result.ok && result.issues).toMatchObject([
      { rule: 'missing-file', key: 'connectors.c.smtp.auth.password', message: expect.stringMatching(/UTF-8|NUL/) },
    ]);
  });
});
