/**
 * Where sources may come from. The API never fetches anything itself; whoever does (a build's pod or sandbox) passes these words to git, so nothing in
 * them may be an option, a helper program or an address of the machine it runs on.
 */
export const gitSchemes = ['https', 'ssh'] as const
/** What an operator may allow beyond these; the API leaves it to the cluster. */
export const knownGitSchemes = [...gitSchemes, 'http', 'git'] as const

/** Why this is no source; null when it may be one. `schemes`: what the cluster's operator allows. */
export function gitUrlFault(text: string, schemes: readonly string[] = gitSchemes): string | null {
  if (text.length > 1000) return 'is too long'
  if (/[\s\p{C}\\"'`$;|&<>(){}*?!]/u.test(text)) return 'has a character that no address has'
  if (text.startsWith('-')) return 'must not begin with -'
  if (/^[a-z0-9+.-]+::/i.test(text)) return 'must not name a transport helper'
  const short = /^[A-Za-z0-9._-]+@([A-Za-z0-9.-]+):(?!\/\/)([A-Za-z0-9._~/-]+)$/.exec(text)
  if (short) return schemes.includes('ssh') ? (hostFault(short[1]!) ?? pathFault(short[2]!)) : 'must be https://…'
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return 'is not an address such as https://git.example.com/team/app.git'
  }
  if (!schemes.includes(url.protocol.slice(0, -1))) return `must begin with ${schemes.map(scheme => `${scheme}://`).join(' or ')}`
  if (url.password !== '') return 'must not hold a password: name a secret instead'
  if (url.username !== '' && url.protocol !== 'ssh:') return 'must not hold a user name: name a secret instead'
  if (url.username.startsWith('-')) return 'must not begin with -'
  if (url.search !== '' || url.hash !== '') return 'must not have a query or fragment'
  return hostFault(url.hostname) ?? pathFault(url.pathname)
}

/** Branch, tag or commit. */
export function gitRefFault(ref: string): string | null {
  if (!/^[A-Za-z0-9][A-Za-z0-9._/+-]{0,250}$/.test(ref) || /\.\.|\/\/|@\{|\.lock(\/|$)|[/.]$/.test(ref))
    return 'is not the name of a branch, a tag or a commit'
  return null
}

/** A way inside the source. */
export function insideFault(path: string): string | null {
  if (path.length > 500 || /[\p{C}\\]/u.test(path)) return 'is not a path'
  if (path.startsWith('/') || path.startsWith('-') || path.split('/').some(step => step === '..'))
    return 'must lead inside the repository'
  return null
}

function hostFault(host: string): string | null {
  if (host === '' || host.startsWith('-')) return 'names no host'
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase()
  if (/^(localhost|.*\.localhost|metadata\.google\.internal)$/.test(bare)) return 'must not lead to the machine itself'
  // URL has made decimal, octal and hex forms of an IPv4 address into the usual one.
  if (/^(127\.|0\.|169\.254\.)/.test(bare) || /^(::1?$|::ffff:|fe[89ab]|fd00:ec2)/.test(bare))
    return 'must not lead to the machine itself'
  if (/^(0x|\d+$)/.test(bare)) return 'names no host'
  return null
}

function pathFault(path: string): string | null {
  return path.split('/').includes('..') || path.replace(/^\/+/, '') === '' ? 'names no repository' : null
}
