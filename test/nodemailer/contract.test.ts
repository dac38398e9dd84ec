/** The contract with the release of nodemailer that Postlane itself uses; `npm run compat` has the others. */
import nodemailer from 'nodemailer';
import type { AnyNodemailer } from '../support/mailer.ts';
import { mailerContract } from '../support/mailer-contract.ts';

mailerContract('nodemailer 10', nodemailer as unknown as AnyNodemailer);
