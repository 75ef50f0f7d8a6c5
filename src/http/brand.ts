/** The name on pages for people. */
export const NAME = 'Doorward';

/** A door, for the tab of a page. Its colours follow the browser's theme. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<style>.frame{fill:#14624f}.leaf{fill:#f7f3ea}@media(prefers-color-scheme:dark){.frame{fill:#7fd1b5}.leaf{fill:#14201c}}</style>
<path class="frame" d="M4 30V14a12 12 0 0 1 24 0v16z"/>
<path class="leaf" d="M9 30V14.5a7 7 0 0 1 14 0V30z"/>
<circle class="frame" cx="19.4" cy="21" r="1.5"/>
</svg>`;
