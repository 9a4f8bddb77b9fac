/**
 * One viewer of a terminal, as a relay of its data socket. It sends what the socket takes and no more: a viewer who does not read costs one
 * socket's buffer, and finds a `gap` where the scroll-back has moved on without it.
 */
import { StringDecoder } from 'node:string_decoder'
import { FromTerminalViewer, type TerminalTarget, type ToTerminalViewer } from '#protocol/terminal-frames.ts'
import { frameSize, highWater, lowWater } from '../streams/flow.ts'
import { endOfError, type RelayContext } from '../streams/relay.ts'
import { ended, endOfClose, type StreamEnd } from '../streams/stream-end.ts'
import type { Terminal, TerminalWatcher } from './terminal.ts'

const endOfInput = Buffer.from([0x04])

export function viewTerminal(context: RelayContext, terminal: Terminal, wish: TerminalTarget): Promise<StreamEnd> {
  const { ws, signal, bytes, active, watch } = context
  const { output } = terminal
  const asked = wish.offset ?? output.start
  // More than there ever was: another life's offset.
  let cursor = asked > output.end ? output.start : Math.floor(asked)
  const decoder = new StringDecoder('utf8')
  const gauge = { delivered: 0, pending: () => ws.bufferedAmount }
  return new Promise(resolve => {
    let over = false
    let full = false
    const finish = (end: StreamEnd) => {
      if (over) return
      over = true
      signal.removeEventListener('abort', aborted)
      detach()
      resolve(end)
    }
    const aborted = () => finish(signal.reason as StreamEnd)
    const say = (message: ToTerminalViewer) => ws.send(JSON.stringify(message), { compress: false }, sent)
    const sent = () => {
      gauge.delivered++
      if (!full || ws.bufferedAmount > lowWater) return
      full = false
      pump()
    }
    const deliver = (chunk: Buffer) => {
      bytes.out += chunk.length
      if (wish.frames === 'binary') ws.send(chunk, { binary: true, compress: false }, sent)
      else say({ type: 'output', offset: cursor, data: decoder.write(chunk) })
    }
    const pump = () => {
      while (!over && !full && ws.readyState === ws.OPEN && cursor < output.end) {
        if (cursor < output.start) {
          const restart = output.restart()
          decoder.end()
          say({ type: 'gap', offset: cursor, bytes: restart - cursor })
          cursor = restart
        }
        const chunk = output.read(cursor, frameSize)
        deliver(chunk)
        cursor += chunk.length
        full = ws.bufferedAmount > highWater
      }
      if (!over && !full && cursor === output.end && terminal.end) leave(terminal.end)
    }
    const leave = ({ exitCode, reason, cause }: NonNullable<Terminal['end']>) => {
      say({ type: 'exit', exit_code: exitCode, reason })
      finish(cause === 'exited' ? ended('normal', 'exit') : ended('target_ended', reason))
    }
    const watcher: TerminalWatcher = {
      wake: pump,
      resized: (cols, rows) => void (over || say({ type: 'resized', cols, rows })),
    }
    const detach = terminal.attach(watcher)

    signal.addEventListener('abort', aborted, { once: true })
    ws.once('close', (code, reason) => finish(endOfClose(code, reason)))
    ws.on('error', error => finish(endOfError(error)))
    if (signal.aborted) return aborted()
    watch(gauge)
    const type = (data: Buffer) => {
      bytes.in += data.length
      active()
      if (terminal.type(data)) return
      ws.pause()
      terminal.drained(() => ws.isPaused && ws.resume())
    }
    ws.on('message', (data: Buffer, binary: boolean) => {
      if (over) return
      if (binary) return type(data)
      const frame = readFrame(data)
      if (!frame) return say({ type: 'error', detail: 'not a frame that terminals know' })
      if (frame.type === 'ping') say({ type: 'pong' })
      else if (frame.type === 'input') type(Buffer.from(frame.data))
      else if (frame.type === 'eof') type(endOfInput)
      else terminal.resize(frame.cols, frame.rows, watcher)
    })
    const { cols, rows } = terminal
    say({ type: 'connected', terminal: terminal.id, offset: cursor, live: output.end, cols, rows })
    pump()
    if (ws.isPaused) ws.resume()
  })
}

function readFrame(data: Buffer): FromTerminalViewer | null {
  try {
    return FromTerminalViewer.parse(JSON.parse(data.toString('utf8')))
  } catch {
    return null
  }
}
