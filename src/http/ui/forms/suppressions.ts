/** What is done with the suppression list: an address is added or removed. */
import { filled, given, told, type Form } from '../form.ts';

const list = '/ui/suppressions';

export const suppressionForms: readonly Form[] = [
  {
    path: '/ui/suppressions/add',
    act(visit, form) {
      const address = filled(form, 'address') ?? '';
      const body = given({ address, reason: filled(form, 'reason'), for: filled(form, 'for') });
      return told(visit, 'addSuppression', { body }, list, () => `${address} gets no mail from the next attempt on.`);
    },
  },
  {
    path: '/ui/suppressions/remove',
    act(visit, form) {
      const address = filled(form, 'address') ?? '';
      const query = given({ reason: filled(form, 'reason') }) as Readonly<Record<string, string>>;
      return told(
        visit,
        'removeSuppression',
        { params: { address }, query },
        list,
        () => `${address} gets mail again.`,
      );
    },
  },
];
