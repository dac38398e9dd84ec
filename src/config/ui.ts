/** The `ui` section: what the dashboard shows. */
import { z } from 'zod';

export const ui = z
  .strictObject({
    maskRecipients: z
      .boolean()
      .default(false)
      .describe('Shows recipients as `j…n@example.net`, in replies of servers, too.'),
  })
  .prefault({})
  .describe('The dashboard of `postlane serve`.');

export interface UiSettings {
  readonly maskRecipients: boolean;
}
