/** `postlane/nodemailer`: a transport for an application that sends by nodemailer. */
export {
  postlaneTransport,
  withPostlane,
  type NodemailerMail,
  type PostlaneFields,
  type PostlaneMailError,
  type PostlaneMailInfo,
  type PostlaneTransport,
  type PostlaneTransportOptions,
  type TransportMode,
} from './nodemailer/transport.ts';
