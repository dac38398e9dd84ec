/** The registry: lazily built, replaced, closed once. */
import { describe, expect, test } from 'vitest';
import { createRecordingTransport, type RecordingTransport } from '../../src/transport/recording.ts';
import { createRegistry } from '../../src/transport/registry.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';

function setup(script: Parameters<typeof createRecordingTransport>[0] = {}) {
  const built: RecordingTransport[] = [];
  const registry = createRegistry((id) => {
    if (id === 'archive') return null;
    const transport = createRecordingTransport(script);
    built.push(transport);
    return transport;
  });
  return { registry, built };
}

describe('the registry', () => {
  test('builds a transport when it is first needed, and returns the same one afterwards', () => {
    const { registry, built } = setup();
    expect(built).toHaveLength(0);
    expect(registry.get('relay')).toBe(registry.get('relay'));
    expect(registry.get('sales')).not.toBe(registry.get('relay'));
    expect(built).toHaveLength(2);
  });

  test('returns null for a connector without a transport', () => {
    expect(setup().registry.get('archive')).toBeNull();
  });

  test('builds a new transport after a change, and closes the old one after its running sends', async () => {
    let finish = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const { registry, built } = setup({
      script: [
        async () => {
          await gate;
          return { kind: 'stopped', why: 'fence' };
        },
      ],
    });
    const old = registry.get('relay');
    const sending = sendBy(old!, mailOf());
    registry.invalidate(['relay', 'unknown']);
    expect(registry.get('relay')).not.toBe(old);
    const events: string[] = [];
    const closing = registry.close().then(() => events.push('closed'));
    const sent = sending.then((outcome) => events.push(summary(outcome)));
    finish();
    await Promise.all([closing, sent]);
    expect(events).toEqual(['stopped fence', 'closed']);
    expect(built.map((transport) => transport.closed)).toEqual([true, true]);
  });

  test('returns null after close()', async () => {
    const { registry } = setup();
    registry.get('relay');
    await registry.close();
    expect(registry.get('relay')).toBeNull();
  });
});
