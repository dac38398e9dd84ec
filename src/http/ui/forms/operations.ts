/** What is done with an operation: another rate, or its end. */
import { filled, given, told, type Form } from '../form.ts';

const list = '/ui/operations';

export const operationForms: readonly Form[] = [
  {
    path: '/ui/operations/*/rate',
    act(visit, form, [id = '']) {
      const rate = filled(form, 'rate');
      const body = { ratePerSecond: rate === undefined ? null : Number(rate) };
      return told(visit, 'changeOperation', { params: { id }, body }, list, () =>
        rate === undefined ? 'It has no limit now.' : `Its rate is ${rate} a second.`,
      );
    },
  },
  {
    path: '/ui/operations/*/stop',
    act(visit, form, [id = '']) {
      const query = given({ reason: filled(form, 'reason') }) as Readonly<Record<string, string>>;
      return told(
        visit,
        'stopOperation',
        { params: { id }, query },
        list,
        () => 'It is stopped. What it has done stays done.',
      );
    },
  },
];
