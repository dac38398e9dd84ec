/** What is done with a connector: pause, resume, a log-in, a test message. */
import type { TestedSender } from '../../api/route.ts';
import { counted } from '../format.ts';
import { filled, given, told, type Form } from '../form.ts';
import { hrefOfConnector, hrefOfMessage } from '../hrefs.ts';

const lengths: Readonly<Record<string, string>> = { '30m': '30 minutes', '2h': '2 hours', '1d': 'a day' };

export const connectorForms: readonly Form[] = [
  {
    path: '/ui/connectors/*/pause',
    act(visit, form, [id = '']) {
      const length = filled(form, 'for');
      const body = given({ reason: filled(form, 'reason'), for: length });
      const end = length === undefined ? 'until it is resumed' : `for ${lengths[length] ?? length}`;
      return told(
        visit,
        'pauseConnector',
        { params: { id }, body },
        hrefOfConnector(id),
        () => `${id} is paused ${end}.`,
      );
    },
  },
  {
    path: '/ui/connectors/*/resume',
    act: (visit, form, [id = '']) =>
      told(
        visit,
        'resumeConnector',
        { params: { id }, body: given({ reason: filled(form, 'reason') }) },
        hrefOfConnector(id),
        ({ before }) => (before === null ? `${id} is tried again now.` : `${id} is resumed.`),
      ),
  },
  {
    path: '/ui/connectors/*/try',
    act: (visit, _form, [id = '']) =>
      told(
        visit,
        'tryConnector',
        { params: { id } },
        hrefOfConnector(id),
        ({ ok, fault, detail, durationMs, senders, hosts }) => {
          const said = String(detail);
          const { tested = [] } = (senders ?? {}) as { readonly tested?: readonly TestedSender[] };
          const asked =
            tested.length === 0 ? '' : `, and its server refuses none of ${counted(tested.length, 'sender')}`;
          if (ok === true)
            return `The login of ${id} works (${String(durationMs)} ms)${asked}.${failingHosts(hosts) ? ` But ${said}.` : ''}`;
          if (fault !== 'sender') return { good: false, text: `The login of ${id} failed: ${said}` };
          const bad = tested.filter(({ result }) => result === 'refused' || result === 'unknown');
          const first = bad.slice(0, 3).map(({ address, advice }) => `${address}: ${advice}`);
          const more = bad.length > first.length ? ` And ${bad.length - first.length} more.` : '';
          return { good: false, text: `${id}: ${said}. ${first.join('. ')}.${more}` };
        },
      ),
  },
  {
    path: '/ui/connectors/*/test',
    act(visit, form, [id = '']) {
      const sentAt = new Date(visit.now).toISOString();
      const payload = {
        from: filled(form, 'from'),
        to: [filled(form, 'to') ?? ''],
        subject: `Test of the connector ${id}`,
        text: `This is a test message of Postlane.\n\nIt was sent through the connector ${id} by ${visit.token.id} at ${sentAt}.\n`,
      };
      const query = { via: id };
      return told(
        visit,
        'submitMessage',
        { query, payload },
        hrefOfConnector(id),
        (sent) => `The test message is on its way, as ${String(sent['id'])}.`,
        visit.can('messages:read') ? (sent) => hrefOfMessage(String(sent['id'])) : undefined,
      );
    },
  },
];

/** Whether one of several hosts fails. */
function failingHosts(hosts: unknown): boolean {
  return Array.isArray(hosts) && (hosts as { readonly ok?: unknown }[]).some(({ ok }) => ok !== true);
}
