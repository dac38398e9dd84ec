/** The command line without Redis: usage, check, explain. What is on stdout, what is on stderr, and the exit codes. */
import { describe, expect, test } from 'vitest';
import { project } from '../support/cli.ts';
import { filesUnder, textOf } from '../support/source.ts';

const nowhere = { REDIS_URL: 'redis://127.0.0.1:1' };

function configOf(lines: readonly string[]): string {
  return `hostname: mail.example.com\n${lines.join('\n')}\n`;
}

const plain = configOf([
  'systemDefaultGateway: relay',
  'connectors:',
  '  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 2525, security: none } }',
  '  sales: { address: sales@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: 2525, security: none } }',
  '  group: { address: "*@group.example.com", direction: outgoing, smtp: { host: 127.0.0.1, port: 2525, security: none } }',
  '  archive: { address: archive@example.com, direction: incoming, incoming: { protocol: pop3, host: pop.example.com, user: a, password: b } }',
]);

describe('usage', () => {
  test.each([
    [['bogus'], /unknown command 'bogus'/],
    [['explain'], /missing required argument 'from'/],
    [['explain', 'a@b.example', 'c@d.example'], /too many arguments/],
    [['send', '--bogus', 'x'], /unknown option '--bogus'/],
    [['send', '--priority', 'urgent'], /Allowed choices are high, normal, low/],
    [['send', '--wait', '--timeout', 'soon'], /a number with a unit/],
    [['dead', 'list', '--reason', 'bored'], /Allowed choices/],
    [['dead', 'list', '--since', 'yesterday'], /ISO 8601/],
    [['dead', 'replay'], /pass ids, filters/],
    [['dead', 'replay', 'an-id', '--all'], /ids or filters, not both/],
    [['dead', 'drop', '--all'], /--yes/],
    [['dead', 'replay', '--all', '--via', 'relais'], /Did you mean relay\?/],
    [['dead', 'replay', '--all', '--via', 'archive'], /only receives/],
    [['pause', 'sale'], /Did you mean sales\?/],
    [['resume', 'archive'], /only receives/],
    [['explain', 'no address'], /no @/],
  ])('%j ends with 2 and says why, before it looks for Redis', async (args, why) => {
    const ended = await project(plain).call(args, { env: nowhere });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(why);
  });

  test('--config and --json are accepted before and after the command', async () => {
    const here = project('not: used\n');
    here.write('other.yaml', plain);
    const before = await here.call(['--json', '--config', 'other.yaml', 'explain', 'sales@example.com']);
    const after = await here.call(['explain', 'sales@example.com', '--config', 'other.yaml', '--json']);
    expect(before).toMatchObject({ code: 0, stderr: '' });
    expect(after).toEqual(before);
  });

  test('--version prints the version of the package', async () => {
    const { version } = JSON.parse(textOf('package.json')) as { version: string };
    expect(await project(plain).call(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test.each([
    ['check', '30s'],
    ['send', '60s'],
  ])('%s --help shows a default duration as a user would write it', async (command, duration) => {
    const { stdout } = await project(plain).call([command, '--help']);
    expect(stdout).toContain(`(default: ${duration})`);
  });

  test('a call without a command exits with 2', async () => {
    expect(await project(plain).call([])).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('check', () => {
  test('a valid configuration exits with 0', async () => {
    const ended = await project(plain).callJson(['check'], { env: nowhere });
    expect(ended).toMatchObject({ code: 0, stderr: '', values: [{ ok: true, issues: [], warnings: [] }] });
  });

  const wrong = configOf([
    'connectors:',
    '  relay: { direction: outgoing, smtp: { host: h.example, port: 99999 }, colour: red }',
    '  sales: { direction: outgoing, smtp: { host: h.example, auth: { user: u, password: "${NOT_SET}" } } }',
  ]);

  test('every mistake is printed with file, line, key and rule, and the exit code is 2', async () => {
    const { code, stdout } = await project(wrong).call(['check']);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^postlane\.yaml:3:\d+ {2}connectors\.relay\.smtp\.port {2}\[port\] {2}/m);
    expect(stdout).toMatch(/^postlane\.yaml:3:\d+ {2}connectors\.relay\.colour {2}\[unknown-key\] {2}/m);
    expect(stdout).toMatch(
      /^postlane\.yaml:4:\d+ {2}connectors\.sales\.smtp\.auth\.password {2}\[missing-variable\] .*NOT_SET/m,
    );
    expect(stdout).toMatch(/\[default-gateway-missing\]/);
  });

  test('--json has the mistakes as a document on stdout', async () => {
    const { code, values } = await project(wrong).callJson(['check']);
    expect(code).toBe(2);
    expect(values).toEqual([expect.objectContaining({ ok: false, file: 'postlane.yaml' })]);
    const [report] = values as unknown as { issues: { rule: string }[] }[];
    const rules = report?.issues.map(({ rule }) => rule);
    expect(rules).toEqual(
      expect.arrayContaining(['port', 'unknown-key', 'missing-variable', 'default-gateway-missing']),
    );
  });

  test('every other command prints the same mistakes to stderr and exits with 2', async () => {
    const { code, stdout, stderr } = await project(wrong).call(['connectors']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/connectors\.relay\.smtp\.port {2}\[port\]/);
  });

  test('a missing file exits with 2 and says how to name one', async () => {
    const ended = await project(plain).call(['explain', 'a@example.com', '--config', 'nowhere.yaml']);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/nowhere\.yaml.*POSTLANE_CONFIG/);
  });
});

describe('explain', () => {
  test.each([
    ['sales@example.com', 'sales', 'exact'],
    ['Sales <SALES@Example.COM>', 'sales', 'exact'],
    ['anybody@group.example.com', 'group', 'domain'],
    ['somebody@example.net', 'relay', 'default'],
  ])('%s is sent by %s, by the rule %s', async (from, connector, rule) => {
    const { code, values } = await project(plain).callJson(['explain', from]);
    expect(code).toBe(0);
    expect(values).toEqual([expect.objectContaining({ connector, rule, passedOver: [] })]);
  });

  test('a connector that only receives is passed over, and the output says so', async () => {
    const here = project(plain);
    const { values } = await here.callJson(['explain', 'archive@example.com']);
    expect(values[0]).toMatchObject({ connector: 'relay', rule: 'default', passedOver: [{ connector: 'archive' }] });
    expect((await here.call(['explain', 'archive@example.com'])).stdout).toMatch(
      /relay sends .*\n.*not archive:.*never sends/,
    );
  });
});

describe('documents', () => {
  const commands = 'check|explain|send|status|connectors|pause|resume|dead|resolve|doctor|worker';
  /** `dead replay --via` for each option of each command line in the text; `dead` alone has only global ones. */
  const namedIn = (text: string): string[] => {
    const calls = text.matchAll(new RegExp(`\\bpostlane (?:-- )?(${commands})\\b([^\\n\`#]*)`, 'g'));
    return [...calls].flatMap(([, command = '', rest = '']) => {
      const [, verb = ''] = (command === 'dead' && /^ (list|show|replay|drop|resolve)\b/.exec(rest)) || [];
      return [...rest.matchAll(/(?<= )--[a-z][a-z-]+/g)].map(([option]) => `${command} ${verb} ${option}`);
    });
  };

  test('name only options that their command has', async () => {
    const documents = filesUnder('.').filter((path) => path.endsWith('.md') && !path.startsWith('.'));
    const named = [...new Set(documents.flatMap((path) => namedIn(textOf(path))))].map((each) => each.split(' '));
    expect(named.length).toBeGreaterThan(15);
    const here = project(plain);
    const known = named.map(async ([command = '', verb = '', option = '']) => {
      const { stdout } = await here.call([command, ...(verb === '' ? [] : [verb]), '--help']);
      return stdout.includes(`${option} `) || ['--json', '--config', '--help'].includes(option);
    });
    const found = await Promise.all(known);
    expect(named.filter((_, at) => found[at] !== true)).toEqual([]);
  });

  test('an option that a command lacks is detected', () => {
    expect(namedIn('run `postlane dead replay ID --via relay --odd`, or `postlane check --connect`')).toEqual([
      'dead replay --via',
      'dead replay --odd',
      'check  --connect',
    ]);
  });
});
