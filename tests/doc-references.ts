/** What a page of documentation points at: files of this repository and npm scripts. Pure: text in, references out. */

export interface DocReference {
  kind: 'link' | 'path' | 'script' | 'program'
  target: string
}

/** `rooms`: first folders of this repository; inline code that begins with one of them and a slash is taken for a path. */
export function docReferences(markdown: string, rooms: string[]): DocReference[] {
  const found: DocReference[] = []
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '')
  for (const [, target] of prose.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g))
    if (!/^[a-z]+:/.test(target!)) found.push({ kind: 'link', target: target! })
  for (const [, code] of prose.matchAll(/`([^`\n]+)`/g)) {
    const path = /^([\w.@-]+)\/[\w.@/*-]*$/.exec(code!)
    if (path && rooms.includes(path[1]!)) found.push({ kind: 'path', target: code! })
  }
  for (const [, script] of markdown.matchAll(/\bnpm run ([a-z][\w:-]*)/g)) found.push({ kind: 'script', target: script! })
  for (const [, script] of markdown.matchAll(/\bnpm (start|test)\b/g)) found.push({ kind: 'script', target: script! })
  for (const [, program] of markdown.matchAll(/^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*node (?:--[\w-]+ )*([\w./-]+\.(?:ts|mjs|js))\b/gm))
    found.push({ kind: 'program', target: program! })
  return found
}
