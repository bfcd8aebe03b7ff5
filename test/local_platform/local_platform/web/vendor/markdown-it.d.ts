/** What readme.js uses of markdown-it; the checker reads this instead of the library itself. */
interface Token {
  content: string;
  attrs: [string, string][] | null;
}
export default class MarkdownIt {
  constructor(options: { html: boolean });
  render(text: string): string;
  renderer: { rules: { image: (tokens: Token[], index: number) => string } };
  core: { ruler: { push(name: string, rule: (state: { tokens: Token[] }) => void): void } };
  utils: { escapeHtml(text: string): string };
}
