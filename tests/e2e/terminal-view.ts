/** A terminal's viewer as a program: what it has seen, how far, and what was dropped. */
import { once } from 'node:events'
import { WebSocket } from 'ws'

export interface TerminalView {
  ws: WebSocket
  text: () => string
  /** Of the next byte. */
  offset: () => number
  /** Bytes that were dropped. */
  gaps: () => number
  type: (line: string) => void
  resize: (cols: number, rows: number) => void
  until: (pattern: RegExp) => Promise<RegExpExecArray>
  closed: Promise<unknown[]>
}

const patienceMs = 120_000

/** `from`: address and headers of the API. */
export async function openTerminalView(
  from: { url: string; headers: Record<string, string> },
  id: string,
  offset?: number,
): Promise<TerminalView> {
  const url = `${from.url.replace('http', 'ws')}/v1/terminals/${id}${offset === undefined ? '' : `?offset=${offset}`}`
  const ws = new WebSocket(url, ['binary'], { headers: from.headers, perMessageDeflate: false })
  let text = ''
  let at = 0
  let gaps = 0
  let look = () => {}
  ws.on('message', (data: Buffer, binary) => {
    if (binary) {
      at += data.length
      text = (text + data.toString('latin1')).slice(-400_000)
    } else {
      const frame = JSON.parse(data.toString())
      if (frame.type === 'connected') at = frame.offset
      if (frame.type === 'gap') {
        at = frame.offset + frame.bytes
        gaps += frame.bytes
      }
      if (frame.type === 'exit') text += `[exit ${frame.exit_code}]`
    }
    look()
  })
  const closed = new Promise<unknown[]>(resolve => ws.once('close', (...end) => resolve(end)))
  await once(ws, 'open')
  ws.on('error', () => {})
  const until = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${pattern} did not come: ${JSON.stringify(text.slice(-500))}`)), patienceMs)
      look = () => {
        const found = pattern.exec(text)
        if (!found) return
        clearTimeout(late)
        resolve(found)
      }
      look()
    })
  return {
    ws,
    text: () => text,
    offset: () => at,
    gaps: () => gaps,
    type: line => ws.send(Buffer.from(`${line}\n`)),
    resize: (cols, rows) => ws.send(JSON.stringify({ type: 'resize', cols, rows })),
    until,
    closed,
  }
}
