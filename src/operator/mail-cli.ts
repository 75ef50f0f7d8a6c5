import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Address } from 'postal-mime';
import { loadConfig } from '../config/config.ts';
import { listMails, mailFolderOf } from '../mail/mail-folder.ts';
import { CommandLineError } from './command-line-error.ts';
import { print, table } from './table.ts';

type ShowOptions = { list?: boolean; json?: boolean };

/** A mail in a file, as operators and their programs see it. */
type MailListing = { file: string; to: string; subject: string; written_at: string };

/** Reads files and nothing else, so it works beside a running server and without one. */
async function showMails({ list = false, json }: ShowOptions): Promise<void> {
  const folder = mailFolderOf(loadConfig(process.env).DATA_DIR);
  const [newest, ...older] = listMails(folder);
  if (newest === undefined)
    throw new CommandLineError(
      `There is no mail in ${folder}. Without SMTP_URL, an embedded server writes its mails there.`,
    );
  if (list) {
    const mails = [newest, ...older].map(async (name) => toListing(await readMail(folder, name)));
    print(await Promise.all(mails), { json }, listText);
  } else {
    const mail = await readMail(folder, newest);
    print({ ...toListing(mail), text: mail.text }, { json }, mailText);
  }
}

type StoredMail = { file: string; to: string; subject: string; text: string; writtenAt: Date };

async function readMail(folder: string, name: string): Promise<StoredMail> {
  // Only here: no other command reads a mail.
  const { default: PostalMime } = await import('postal-mime');
  const file = join(folder, name);
  const { to = [], subject, text } = await PostalMime.parse(readFileSync(file));
  const addresses = to.map(({ address }: Address) => String(address)).join(', ');
  return {
    file,
    to: addresses,
    subject: String(subject),
    text: String(text),
    writtenAt: statSync(file).mtime,
  };
}

function toListing({ file, to, subject, writtenAt }: StoredMail): MailListing {
  return { file, to, subject, written_at: writtenAt.toISOString() };
}

function listText(mails: MailListing[]): string {
  const rows = mails.map(({ written_at, to, subject, file }) => [written_at, to, subject, file]);
  return table(['WRITTEN', 'TO', 'SUBJECT', 'FILE'], rows);
}

function mailText({ file, to, subject, written_at, text }: MailListing & { text: string }): string {
  return `To: ${to}\nSubject: ${subject}\nWritten: ${written_at}\nFile: ${file}\n\n${text.trimEnd()}\n`;
}

/** `doorward mail`. */
export function addMail(program: Command): void {
  const mail = program.command('mail').description('the mails of an embedded server without SMTP_URL');
  mail
    .command('show')
    .description('print the last mail')
    .option('--list', 'print which mails there are, the newest first')
    .option('--json', 'for programs')
    .action(showMails);
}
