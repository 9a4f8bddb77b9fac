/** Build arguments as people write them, `NAME=value` one a line, with one of them read or changed. Pure. */

export function argumentOf(text: string, name: string): string {
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=')
    if (equals > 0 && line.slice(0, equals).trim() === name) return line.slice(equals + 1).trim()
  }
  return ''
}

/** An empty value takes the line away: the Dockerfile's own default holds then. */
export function withArgument(text: string, name: string, value: string): string {
  const line = `${name}=${value.replaceAll('\n', ' ')}`
  const lines = text.split('\n')
  const at = lines.findIndex(one => one.includes('=') && one.slice(0, one.indexOf('=')).trim() === name)
  if (at === -1) return value ? [...lines.filter(one => one.trim()), line].join('\n') : text
  return (value ? lines.with(at, line) : lines.toSpliced(at, 1)).join('\n')
}
