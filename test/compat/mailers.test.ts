/** `postlane/nodemailer` with the releases 6 to 10 of nodemailer, and inside the frameworks that send by it. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { postlaneTransport } from '../../src/nodemailer.ts';
import { createRecordingProducer } from '../../src/producer/recording.ts';
import type { AnyNodemailer, AnyTransporter } from '../support/mailer.ts';
import { mailerContract } from '../support/mailer-contract.ts';
import { root } from '../support/source.ts';

const folder = join(root, 'test/compat/mailers');
const installed = existsSync(join(folder, 'node_modules/nodemailer-6'));
const require = createRequire(join(folder, 'package.json'));
const releases = [6, 7, 8, 9, 10];

if (installed) {
  for (const release of releases) {
    mailerContract(`nodemailer ${release}`, require(`nodemailer-${release}`) as AnyNodemailer);
  }
}

const nodemailer = (): AnyNodemailer => require('nodemailer') as AnyNodemailer;

function recording(): {
  readonly producer: ReturnType<typeof createRecordingProducer>;
  readonly transport: ReturnType<typeof postlaneTransport>;
} {
  const producer = createRecordingProducer();
  return { producer, transport: postlaneTransport({ producer }) };
}

/** One that is CommonJS. */
function required(name: string): unknown {
  return require(name);
}

interface NestCore {
  readonly NestFactory: {
    createApplicationContext(
      module: object,
      options: object,
    ): Promise<{ get(token: object): AnyTransporter; close(): Promise<void> }>;
  };
}

/** By its path: a package of that folder is none of ours. */
async function load<Exports>(name: string): Promise<Exports> {
  const path = require.resolve(name);
  return (await import(pathToFileURL(path).href)) as Exports;
}

describe.skipIf(!installed)('the frameworks', () => {
  test('Auth.js signs in by a mail: nothing of it is rejected or pending', async () => {
    const { producer, transport } = recording();
    const core = await load<{
      Auth: (request: Request, config: object) => Promise<Response>;
      skipCSRFCheck: symbol;
    }>('@auth/core');
    const provider = await load<{ default: (options: object) => object }>('@auth/core/providers/nodemailer');
    const adapter = {
      createVerificationToken: async (token: object) => token,
      useVerificationToken: async () => null,
      getUserByEmail: async () => null,
      getUserByAccount: async () => null,
      getUser: async () => null,
      createUser: async (user: object) => user,
      updateUser: async (user: object) => user,
      linkAccount: async () => undefined,
      createSession: async (session: object) => session,
      getSessionAndUser: async () => null,
      updateSession: async () => null,
      deleteSession: async () => undefined,
    };
    const request = new Request('https://app.example.com/auth/signin/nodemailer', {
      method: 'POST',
      body: new URLSearchParams({ email: 'person@example.net' }),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    const response = await core.Auth(request, {
      trustHost: true,
      secret: 'secret of a test',
      skipCSRFCheck: core.skipCSRFCheck,
      basePath: '/auth',
      adapter,
      providers: [provider.default({ server: transport, from: 'App <app@example.com>' })],
    });
    expect(response.headers.get('location')).toContain('/auth/verify-request');
    expect(producer.sent.map(({ message }) => message)).toMatchObject([
      {
        from: { address: 'app@example.com' },
        subject: 'Sign in to app.example.com',
        envelope: { to: ['person@example.net'] },
      },
    ]);
    expect(producer.sent[0]!.message.raw).toBeUndefined();
  });

  test("Payload's adapter verifies the transport and sends", async () => {
    const { producer, transport } = recording();
    const { nodemailerAdapter } = await load<{
      nodemailerAdapter: (options: object) => Promise<() => { sendEmail: (mail: object) => Promise<unknown> }>;
    }>('@payloadcms/email-nodemailer');
    const adapter = await nodemailerAdapter({
      defaultFromAddress: 'cms@example.com',
      defaultFromName: 'CMS',
      transport: nodemailer().createTransport(transport),
    });
    const sent = await adapter().sendEmail({ to: 'a@example.net', subject: 'Reset', html: '<p>Reset</p>' });
    expect(sent).toMatchObject({ accepted: ['a@example.net'], rejected: [] });
    expect(producer.sent.map(({ message }) => message)).toMatchObject([
      { from: { name: 'CMS', address: 'cms@example.com' }, html: '<p>Reset</p>' },
    ]);
  });

  test("NestJS' mailer verifies the transport, sends, and closes the transport with the application", async () => {
    required('reflect-metadata');
    const { producer, transport } = recording();
    const { Module } = required('@nestjs/common') as { Module: (options: object) => (target: object) => void };
    const { NestFactory } = required('@nestjs/core') as NestCore;
    const mailer = required('@nestjs-modules/mailer') as {
      MailerModule: { forRoot: (options: object) => object };
      MailerService: object;
    };
    class AppModule {
      readonly name = 'app';
    }
    const options = { transport, defaults: { from: 'nest@example.com' }, verifyTransporters: true };
    Module({ imports: [mailer.MailerModule.forRoot(options)] })(AppModule);
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    const info = await app.get(mailer.MailerService).sendMail({ to: 'a@example.net', subject: 'Hi', text: 'x' });
    expect(info.accepted).toEqual(['a@example.net']);
    await app.close();
    expect(transport.isIdle()).toBe(false);
    expect(producer.sent.map(({ message }) => message)).toMatchObject([
      { from: { address: 'nest@example.com' }, text: 'x' },
    ]);
  });

  test.each([
    // They type the result of every transport as that of SMTP.
    ['@types/nodemailer, for releases 6 to 9', 'nodemailer', 'as unknown as PostlaneMailInfo'],
    ['nodemailer 10, which has its own', 'nodemailer-10', ''],
  ])('its types are those of a transport of %s', async (_, name, cast) => {
    const tsc = async (args: readonly string[], cwd: string): Promise<string> => {
      const run = promisify(execFile)(join(root, 'node_modules/.bin/tsc'), args, { cwd });
      return (await run.catch((error: Error & { stdout: string }) => error)).stdout;
    };
    // Beside the packages that the declarations import.
    const declarations = mkdtempSync(join(root, 'node_modules/.declarations-'));
    onTestFinished(() => rmSync(declarations, { recursive: true, force: true }));
    const emit = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', declarations];
    expect(await tsc(emit, root)).toBe('');
    const consumer = `
      import nodemailer from '${name}';
      import { postlaneTransport, withPostlane, type PostlaneMailInfo } from '${join(declarations, 'nodemailer.js')}';
      const transporter = nodemailer.createTransport(postlaneTransport({ redis: { url: 'redis://127.0.0.1' } }));
      const mail = { to: 'a@example.net', subject: 'Hi', text: 'x' };
      const info: PostlaneMailInfo = (await transporter.sendMail(withPostlane(mail, { sendAt: '2030-01-01T00:00:00Z' }))) ${cast};
      export const id: string = info.id;
      export const rejected: readonly unknown[] = info.rejected;
      // @ts-expect-error: no such field
      withPostlane(mail, { sendAfter: 1 });`;
    const file = join(folder, `consumer-of-${name}.mts`);
    writeFileSync(file, consumer);
    onTestFinished(() => rmSync(file, { force: true }));
    const flags = [
      '--noEmit',
      '--strict',
      '--ignoreConfig',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'es2024',
    ];
    expect(await tsc([...flags, '--types', 'node', file], folder)).toBe('');
  });
});
