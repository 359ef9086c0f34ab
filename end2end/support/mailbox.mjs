// A mail server that is none of ours (npm's smtp-server), on loopback: keeps what it gets, read by npm's mailparser.
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

export class Mailbox {
  static async start() {
    const mailbox = new Mailbox();
    mailbox.mails = [];
    mailbox.server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS', 'AUTH'],
      disableReverseLookup: true,
      onData(stream, session, callback) {
        simpleParser(stream).then((mail) => {
          mailbox.mails.push(mail);
          callback();
        }, callback);
      },
    });
    await new Promise((done, failed) => {
      mailbox.server.once('error', failed);
      mailbox.server.listen(0, '127.0.0.1', done);
    });
    const { port } = mailbox.server.server.address();
    mailbox.env = {
      BERTH_SMTP_URL: `smtp://127.0.0.1:${port}`,
      BERTH_SMTP_FROM: 'Berth <berth@example.com>',
      BERTH_SMTP_WITHOUT_TLS: '127.0.0.1',
    };
    return mailbox;
  }

  /** The mails to an address whose subject holds these words, oldest first. */
  to(address, subject) {
    return this.mails.filter((mail) => mail.to.text === address && mail.subject.includes(subject));
  }

  async stop() {
    await new Promise((done) => this.server.close(done));
  }
}

/** The link in a mail. */
export function linkIn(mail) {
  return mail.text.match(/^https?:\/\/\S+$/m)[0];
}
