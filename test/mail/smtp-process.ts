/** An SMTP server as a process of its own, to be killed. Prints each mail that it takes as a line of JSON. */
import { catchMails } from '../support/mail-catcher.ts';

const catcher = await catchMails({ teardown: () => {} }, { port: Number(process.argv[2]) });
let printed = 0;
process.stdout.write(`${JSON.stringify({ port: catcher.port })}\n`);
for (;;) {
  await catcher.happens('mail');
  for (const { to, messageId } of catcher.all.slice(printed))
    process.stdout.write(`${JSON.stringify({ to: to[0], messageId })}\n`);
  printed = catcher.all.length;
}
