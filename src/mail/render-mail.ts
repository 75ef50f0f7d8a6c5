import type { Config } from '../config/config.ts';
import type { MailContent, MailFacts } from './mail-facts.ts';
import { pickLanguage } from './mail-language.ts';
import { loadMailTemplates } from './mail-templates.ts';
import { mailVariables } from './mail-variables.ts';

type RenderSettings = Pick<Config, 'PUBLIC_URL' | 'PUBLIC_APP_URL' | 'MAIL_TEMPLATES_DIR'>;

/** @param writtenAt when the mail was written, by the database's clock, in milliseconds since the epoch */
export type RenderMail = (facts: MailFacts, writtenAt: number) => MailContent;

/**
 * Writes mails in the language of their readers, from templates that are read now.
 * @throws MailTemplateError when a template cannot be used
 */
export function createRender({ PUBLIC_URL, PUBLIC_APP_URL, MAIL_TEMPLATES_DIR }: RenderSettings): RenderMail {
  const templates = loadMailTemplates(MAIL_TEMPLATES_DIR);
  // From the settings alone: what a request says never decides where a link leads.
  const pagesUrl = PUBLIC_APP_URL ?? `${PUBLIC_URL}/ui`;
  const place = { site: new URL(pagesUrl).host, pagesUrl };
  return (facts, writtenAt) => {
    const { language, locale } = pickLanguage(facts.locale, templates.languages);
    return templates.render(language, facts.template, mailVariables(facts, place, writtenAt, locale));
  };
}
