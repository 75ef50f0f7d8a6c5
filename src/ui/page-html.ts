/** Makes text safe between tags and in attributes with double quotes. */
function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

export type Attributes = Record<string, string | boolean | undefined>;

/** An opening tag. An attribute that is `true` has no value; one that is `false`, undefined or empty is left out. */
export function tag(name: string, attributes: Attributes): string {
  const parts = Object.entries(attributes).flatMap(([attribute, value]) => {
    if (value === undefined || value === false || value === '') return [];
    return value === true ? [attribute] : [`${attribute}="${escapeHtml(value)}"`];
  });
  return `<${[name, ...parts].join(' ')}>`;
}

/** An element with text in it; nothing when the text is empty. */
export function element(name: string, attributes: Attributes, text: string): string {
  return text === '' ? '' : `${tag(name, attributes)}${escapeHtml(text)}</${name}>`;
}

type Frame = { language: string; title: string; brand: string; base: string; content: string[] };

/** A whole page. It has no script or style in it, so that its policy need not allow any. */
export function htmlPage({ language, title, brand, base, content }: Frame): string {
  return `<!doctype html>
${tag('html', { lang: language })}
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
${element('title', {}, `${title} – ${brand}`)}
${tag('link', { rel: 'icon', href: `${base}/icon.svg` })}
${tag('link', { rel: 'stylesheet', href: `${base}/page.css` })}
${tag('script', { src: `${base}/page.js`, defer: true })}</script>
</head>
<body>
<header>${element('p', {}, brand)}</header>
<main>
${content.filter((part) => part !== '').join('\n')}
</main>
</body>
</html>
`;
}
