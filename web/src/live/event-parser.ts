/**
 * Server-sent events from a byte stream (WHATWG HTML 9.2). Our own because `EventSource` hides status codes, and we want to know
 * a 401 from a dead server and to choose the back-off.
 */
export interface ServerEvent {
  id: string | null
  event: string
  data: string
}

export interface EventParser {
  /** Takes the next piece of text, split anywhere, and returns the events it completed. */
  push: (text: string) => ServerEvent[]
}

export function createEventParser(): EventParser {
  let rest = ''
  let data: string[] = []
  let event = ''
  let id: string | null = null
  let sawCarriageReturn = false

  function line(text: string, out: ServerEvent[]) {
    if (text === '') {
      if (data.length > 0) out.push({ id, event: event || 'message', data: data.join('\n') })
      data = []
      event = ''
      return
    }
    if (text.startsWith(':')) return
    const colon = text.indexOf(':')
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value
    else if (field === 'id' && !value.includes('\0')) id = value
  }

  return {
    push(text) {
      const out: ServerEvent[] = []
      // A CRLF may be split between two pieces: its LF is then the first character of this one.
      if (sawCarriageReturn && text.startsWith('\n')) text = text.slice(1)
      sawCarriageReturn = text === '' ? sawCarriageReturn : text.endsWith('\r')
      const lines = (rest + text).split(/\r\n|\n|\r/)
      rest = lines.pop() ?? ''
      for (const one of lines) line(one, out)
      return out
    },
  }
}
