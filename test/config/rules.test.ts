/** The rules between keys, and what each of them says. */
import { describe, expect, test } from 'vitest';
import { brief, goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const warningsOf = async (text: string) => (await loadText(text)).warnings.map(brief);

describe('ways to send', () => {
  test('a connector that sends without smtp or graph is refused', async () => {
    expect(await onlyIssue(withConnector('direction: both'))).toMatchObject({
      key: 'connectors.c',
      line: 4,
      rule: 'transport-missing',
    });
  });

  test.each([
    ['without host and hosts', 'security: none', ['6 required connectors.c.smtp.host']],
    ['with both', 'host: a.example, hosts: [{ host: b.example }]', ['6 smtp-host connectors.c.smtp.hosts']],
    [
      'with a host twice',
      'hosts: [{ host: a.example }, { host: A.example, port: 587 }]',
      ['6 smtp-host connectors.c.smtp.hosts[1]'],
    ],
    [
      'with hosts that begin TLS differently, and no security',
      'hosts: [{ host: a.example, port: 465 }, { host: b.example, port: 587 }]',
      ['6 smtp-host-security connectors.c.smtp.hosts[0].port'],
    ],
    [
      'with such hosts and one security',
      'security: tls, hosts: [{ host: a.example, port: 465 }, { host: b.example, port: 8465 }]',
      [],
    ],
    [
      'with hosts at 465 and the port for it',
      'port: 465, hosts: [{ host: a.example }, { host: b.example, port: 465 }]',
      [],
    ],
    [
      'with a host of another family than localAddress',
      'localAddress: 192.0.2.7, hosts: [{ host: "2001:db8::1" }, { host: 192.0.2.1 }, { host: b.example }]',
      ['6 local-address-family connectors.c.smtp.hosts[0]'],
    ],
    [
      'with an address of another family than localAddress',
      'localAddress: "2001:db8::7", host: 192.0.2.1',
      ['6 local-address-family connectors.c.smtp.host'],
    ],
    ['with several hosts', 'hosts: [{ host: a.example, weight: 2 }, { host: a.example, port: 2525 }]', []],
  ])('smtp %s', async (_what, smtp, expected) => {
    expect(await mistakes(withConnector(`direction: outgoing\nsmtp: { ${smtp} }`))).toEqual(expected);
  });

  test('smtp and graph in one connector are refused', async () => {
    const text = withConnector(
      'direction: both\nsmtp: { host: a.example }\ngraph: { tenantId: t, clientId: c, credential: { clientSecret: s } }',
    );
    expect(await mistakes(text)).toEqual(['7 transport-both connectors.c.graph']);
  });

  test('smtp in an incoming-only connector is a warning, and never a transport', async () => {
    const text = `${withConnector('direction: outgoing\nsmtp: { host: a.example }')}  in:
    direction: incoming
    address: in@example.com
    smtp: { host: b.example }
`;
    expect(await warningsOf(text)).toEqual(['10 transport-unused connectors.in.smtp']);
    expect((await goodConfig(text)).connectors[1]?.transport).toBeNull();
  });

  test('a sending connector that nothing can choose is a warning', async () => {
    const text = `${withConnector('direction: outgoing\nsmtp: { host: a.example }')}  spare:
    direction: outgoing
    smtp: { host: b.example }
`;
    expect(await warningsOf(text)).toEqual(['7 never-chosen connectors.spare']);
  });
});

describe('connector ids', () => {
  test.each(['Sales', 'a:b', '-a', 'a.b', 'disabled', '__proto__', 'x'.repeat(65), 'ümlaut'])(
    'rejects "%s"',
    async (id) => {
      const text = `${withConnector('direction: outgoing\nsmtp: { host: a.example }')}  "${id}":
    direction: outgoing
    address: x@example.com
    smtp: { host: b.example }
`;
      expect(await mistakes(text)).toEqual([`7 connector-id connectors.${id}`]);
    },
  );

  test.each(['a', '0', 'sales-2_b', 'constructor', 'x'.repeat(64)])('accepts "%s"', async (id) => {
    const text = `hostname: a.example\nsystemDefaultGateway: ${id}\nconnectors:\n  ${id}:\n    direction: outgoing\n    smtp: { host: a.example }\n`;
    // `0` as a gateway would be a number.
    const config = await goodConfig(text.replace('Gateway: 0', 'Gateway: "0"'));
    expect(config.connectors.map((each) => each.id)).toEqual([id]);
  });
});

describe('addresses', () => {
  const two = (a: string, b: string) => `${withConnector('direction: outgoing\nsmtp: { host: a.example }')}  a:
    ${a}
    smtp: { host: a.example }
  b:
    ${b}
    smtp: { host: a.example }
`;

  test('two sending connectors with one domain are refused, and the error points at the other', async () => {
    const issue = await onlyIssue(
      two(
        'direction: both\n    address: "*@Bücher.example"',
        'direction: outgoing\n    address: "*@xn--bcher-kva.example"',
      ),
    );
    expect(issue).toMatchObject({ key: 'connectors.b.address', line: 13, rule: 'duplicate-address' });
    expect(issue.message).toContain('connector a (line 9)');
  });

  test('an incoming-only connector may share an address', async () => {
    expect(
      await mistakes(
        two('direction: both\n    address: a@example.com', 'direction: incoming\n    address: a@example.com'),
      ),
    ).toEqual([]);
  });

  test('one connector may name an address twice; it counts once', async () => {
    const config = await goodConfig(
      withConnector(
        'direction: both\naddress: a@example.com\naddresses: [A@example.com, "*@b.example"]\nsmtp: { host: a.example }',
      ),
    );
    expect(config.connectors[0]?.addresses).toEqual(['a@example.com', '*@b.example']);
  });

  test.each(['a@', '@example.com', 'sales*@example.com', '*', 'a@b@c', 'a@exa mple.com', 'Name <a@example.com>'])(
    'rejects the pattern "%s"',
    async (pattern) => {
      const text = withConnector(`direction: both\naddress: "${pattern}"\nsmtp: { host: a.example }`);
      expect(await mistakes(text)).toEqual(['6 address-pattern connectors.c.address']);
    },
  );

  test('the unmonitored address may have a name, and must be one address', async () => {
    const text = withConnector('direction: both\nsmtp: { host: a.example }');
    const config = await goodConfig(`unmonitoredAddress: "No Reply <no-reply@Example.com>"\n${text}`);
    expect(config.unmonitoredAddress).toEqual({ name: 'No Reply', address: 'no-reply@example.com' });
    expect(await mistakes(`unmonitoredAddress: "a@example.com, b@example.com"\n${text}`)).toEqual([
      '1 address unmonitoredAddress',
    ]);
  });
});

describe('the system default gateway', () => {
  test('may be disabled if a sending connector matches the unmonitored address, by its domain too', async () => {
    const text = withConnector('direction: both\naddress: "*@example.com"\nsmtp: { host: a.example }').replace(
      'Gateway: c',
      'Gateway: disabled\nunmonitoredAddress: no-reply@EXAMPLE.com',
    );
    expect((await goodConfig(text)).systemDefaultGateway).toBeNull();
  });

  test('is not reported as unmatched while the address of a connector cannot be parsed', async () => {
    const text = withConnector('direction: both\naddress: no-reply.example.com\nsmtp: { host: a.example }').replace(
      'Gateway: c',
      'Gateway: disabled\nunmonitoredAddress: no-reply@example.com',
    );
    expect(await mistakes(text)).toEqual(['7 address-pattern connectors.c.address']);
  });

  test('with an unknown id is reported with a suggestion', async () => {
    const text = withConnector('direction: both\nsmtp: { host: a.example }').replace('Gateway: c', 'Gateway: C');
    expect((await onlyIssue(text)).message).toContain('did you mean c?');
  });
});

describe('credentials and security', () => {
  const smtp = async (body: string) => {
    const transport = (await goodConfig(withConnector(body))).connectors[0]?.transport;
    return transport?.kind === 'smtp' ? transport.smtp : undefined;
  };
  const incoming = 'incoming: { protocol: imap, host: i.example, user: u, password: p }';

  test('the credentials of incoming are those of the SMTP session', async () => {
    expect(await smtp(`direction: both\n${incoming}\nsmtp: { host: a.example }`)).toMatchObject({
      auth: { user: 'u', password: 'p' },
    });
  });

  test.each([
    ['', 993, 'tls'],
    [', port: 143', 143, 'starttls'],
    [', security: starttls', 143, 'starttls'],
    [', port: 9930', 9930, 'tls'],
  ])('a mailbox is read over TLS, at the port of its protocol (%s)', async (more, port, security) => {
    const mailbox = incoming.replace('user: u', `user: u${more}`);
    const { connectors } = await goodConfig(withConnector(`direction: both\n${mailbox}\nsmtp: { host: a.example }`));
    expect(connectors[0]?.incoming).toMatchObject({ port, security });
  });

  test('a mailbox needs a password or oauth2', async () => {
    const mailbox = incoming.replace(', password: p', '');
    const text = withConnector(`direction: both\n${mailbox}\nsmtp: { host: a.example }`);
    expect(await mistakes(text)).toEqual(['6 required connectors.c.incoming.password']);
  });

  test('the credentials of incoming over an unencrypted session are refused', async () => {
    const text = withConnector(`direction: both\n${incoming}\nsmtp: { host: a.example, security: none }`);
    expect(await mistakes(text)).toEqual(['7 insecure-auth connectors.c.smtp.security']);
  });

  test('allowInsecureAuth allows credentials over an unencrypted session', async () => {
    const body =
      'direction: both\nsmtp: { host: a.example, security: none, allowInsecureAuth: true, auth: { user: u, password: p } }';
    expect(await smtp(body)).toMatchObject({ security: 'none', allowInsecureAuth: true, auth: { user: 'u' } });
  });

  test('a gateway without auth and encryption is allowed, for open relays inside a network', async () => {
    expect(await smtp('direction: outgoing\nsmtp: { host: a.example, security: none }')).toMatchObject({ auth: null });
  });

  test.each([
    ['', 'starttls', 587],
    ['port: 465', 'tls', 465],
    ['port: 587', 'starttls', 587],
    ['port: 25', 'starttls', 25],
    ['port: 2525', 'starttls', 2525],
    ['security: tls', 'tls', 465],
    ['security: starttls', 'starttls', 587],
    ['security: none', 'none', 25],
    ['security: none, port: 1025', 'none', 1025],
  ])('with "%s" it is %s at port %i', async (keys, security, port) => {
    const separator = keys === '' ? '' : ', ';
    expect(await smtp(`direction: outgoing\nsmtp: { host: a.example${separator}${keys} }`)).toMatchObject({
      security,
      port,
    });
  });

  test.each([
    'port: 465, security: starttls',
    'port: 465, security: none',
    'port: 587, security: tls',
    'port: 25, security: tls',
  ])('warns of %s', async (keys) => {
    const text = withConnector(`direction: outgoing\nsmtp: { host: a.example, ${keys} }`);
    expect(await warningsOf(text)).toEqual(['6 security-port connectors.c.smtp.security']);
    expect(await mistakes(text)).toEqual([]);
  });

  test('a mailbox gets the port of its protocol', async () => {
    const body = (protocol: string) =>
      `direction: both\n${incoming.replace('imap', protocol)}\nsmtp: { host: a.example }`;
    expect((await goodConfig(withConnector(body('imap')))).connectors[0]?.incoming?.port).toBe(993);
    expect((await goodConfig(withConnector(body('pop3')))).connectors[0]?.incoming?.port).toBe(995);
  });
});

describe('groups of limits', () => {
  const grouped = (groups: string, group: string) =>
    `${withConnector(`direction: outgoing\nsmtp: { host: a.example }\nlimits: { group: ${group} }`)}\nlimitGroups: ${groups}\n`;

  test('a connector has the limits of its group', async () => {
    const config = await goodConfig(grouped('{ tenant: { recipientsPerDay: 10000, bytes: 5MB/1h } }', 'tenant'));
    expect(config.connectors[0]?.limits.group).toEqual({
      id: 'tenant',
      messagesPerMinute: null,
      recipientsPerDay: 10_000,
      bytesPerWindow: { bytes: 5_000_000, windowMs: 3_600_000 },
    });
  });

  test.each([
    ['{ tenant: { recipientsPerDay: 1 } }', 'tenat', 'limit-group-unknown connectors.c.limits.group'],
    ['{ "Ten ant": { recipientsPerDay: 1 } }', '"Ten ant"', 'limit-group-id limitGroups.Ten ant'],
    ['{ tenant: {} }', 'tenant', 'limit-group-empty limitGroups.tenant'],
    ['{ tenant: { concurrency: 1 } }', 'tenant', 'unknown-key limitGroups.tenant.concurrency'],
  ])('%s with a connector in %s is refused', async (groups, group, expected) => {
    const found = await mistakes(grouped(groups, group));
    expect(found.map((text) => text.replace(/^\d+ /, ''))).toEqual([expected]);
  });

  test('a group that no connector names is reported', async () => {
    const text = grouped('{ tenant: { recipientsPerDay: 1 }, other: { recipientsPerDay: 1 } }', 'tenant');
    expect(await mistakes(text)).toEqual([]);
    expect((await warningsOf(text)).join()).toContain('limit-group-unused limitGroups.other');
  });
});

describe('limits and retries', () => {
  const limits = async (block: string) =>
    (await goodConfig(withConnector(`direction: outgoing\nsmtp: { host: a.example }\nlimits: ${block}`))).connectors[0]
      ?.limits;

  test('without limits a connector sends five at once, at any rate', async () => {
    expect(await limits('{}')).toEqual({
      preset: null,
      concurrency: 5,
      messagesPerMinute: null,
      recipientsPerDay: null,
      bytesPerWindow: null,
      maxBytes: null,
      recipientsPerMessage: null,
      messagesPerSession: null,
      group: null,
    });
  });

  test('a preset sets its limits, and the other keys of limits override it', async () => {
    expect(await limits('{ preset: exchange-online }')).toEqual({
      preset: 'exchange-online',
      concurrency: 3,
      messagesPerMinute: 30,
      recipientsPerDay: 10_000,
      bytesPerWindow: null,
      maxBytes: 35 * 1024 * 1024,
      recipientsPerMessage: 500,
      messagesPerSession: null,
      group: null,
    });
    expect(await limits('{ preset: ses, messagesPerMinute: 840, recipientsPerDay: 50000, maxSize: 1MiB }')).toEqual({
      preset: 'ses',
      concurrency: 5,
      messagesPerMinute: 840,
      recipientsPerDay: 50_000,
      bytesPerWindow: null,
      maxBytes: 1024 * 1024,
      recipientsPerMessage: 50,
      messagesPerSession: null,
      group: null,
    });
  });

  test('bytes are limited within a window, and the preset has that of Graph', async () => {
    expect(await limits('{ bytes: 20MiB/90s }')).toMatchObject({
      bytesPerWindow: { bytes: 20 * 1024 * 1024, windowMs: 90_000 },
    });
    const graph = 'graph: { tenantId: t, clientId: c, credential: { clientSecret: s } }';
    const text = withConnector(`direction: outgoing\n${graph}\nlimits: { preset: exchange-online }`);
    expect((await goodConfig(text)).connectors[0]?.limits).toMatchObject({
      concurrency: 4,
      bytesPerWindow: { bytes: 150_000_000, windowMs: 300_000 },
    });
  });

  test.each(['150MB', '5m/150MB', '150MB/0s', '1MB/500ms', '1MB/2d', '1MB/1m/1m'])(
    'bytes within a window are not %s',
    async (bytes) => {
      const text = withConnector(`direction: outgoing\nsmtp: { host: a.example }\nlimits: { bytes: ${bytes} }`);
      expect(await mistakes(text)).toEqual(['7 bytes-per-window connectors.c.limits.bytes']);
    },
  );

  test('a connector inherits the general retry settings that it does not set', async () => {
    const text = `retry: { firstDelay: 1m, lifetime: 2d }\n${withConnector(
      'direction: outgoing\nsmtp: { host: a.example }\nretry: { lifetime: 3h }',
    )}`;
    const config = await goodConfig(text);
    expect(config.retry).toEqual({
      firstDelayMs: 60_000,
      maxDelayMs: 3_600_000,
      lifetimeMs: 172_800_000,
      attributeWithinMs: 3_600_000,
    });
    expect(config.connectors[0]?.retry).toEqual({
      firstDelayMs: 60_000,
      maxDelayMs: 3_600_000,
      lifetimeMs: 10_800_000,
      attributeWithinMs: 3_600_000,
      onUncertain: 'retry',
      onUnverified: 'hold',
    });
  });

  test('by default an uncertain attempt is repeated through SMTP and verified through Graph', async () => {
    const onUncertain = async (body: string) =>
      (await goodConfig(withConnector(`direction: outgoing\n${body}`))).connectors[0]?.retry.onUncertain;
    const graph = 'graph: { tenantId: t, clientId: c, credential: { clientSecret: s } }';
    expect(await onUncertain('smtp: { host: a.example }')).toBe('retry');
    expect(await onUncertain('smtp: { host: a.example }\nonUncertain: hold')).toBe('hold');
    expect(await onUncertain(graph)).toBe('verify');
    expect(
      await mistakes(withConnector('direction: outgoing\nsmtp: { host: a.example }\nonUncertain: verify')),
    ).toEqual(['7 on-uncertain connectors.c.onUncertain']);
    expect(await onUncertain(`${graph}\nonUncertain: retry`)).toBe('retry');
  });

  test('a first delay above the longest is reported once, at its place in the file', async () => {
    const connector = withConnector('direction: outgoing\nsmtp: { host: a.example }\nretry: { maxDelay: 20s }');
    expect(await mistakes(connector)).toEqual(['7 retry-order connectors.c.retry.maxDelay']);
    const general = withConnector('direction: outgoing\nsmtp: { host: a.example }');
    expect(await mistakes(`retry: { firstDelay: 2h }\n${general}`)).toEqual(['1 retry-order retry.firstDelay']);
    expect(await mistakes(`retry: { lifetime: 30m }\n${general}`)).toEqual(['1 retry-order retry.lifetime']);
  });
});
