/**
 * One TCP connection to a port of a pod, through the API server: a WebSocket whose messages carry a channel byte (0 data, 1 error), each channel
 * opening with two bytes of port number. Both ways wait for the other side; client-node's own port-forward lets its buffers grow.
 */
import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { DialError } from '../runtime.ts'
import type { KubeClient } from './kube-client.ts'

const dataChannel = 0

export class ForwardedSocket extends Duplex {
  private readonly open: (signal: AbortSignal) => Promise<WebSocket>
  private readonly life = new AbortController()
  private readonly greeted = new Set<number>()
  private ws: WebSocket | null = null
  private trouble = ''

  constructor(open: (signal: AbortSignal) => Promise<WebSocket>) {
    super({ allowHalfOpen: false, emitClose: true })
    this.open = open
  }

  override _construct(done: (error?: Error | null) => void): void {
    // The stream machine calls this only after our fields are there.
    this.open(this.life.signal).then(ws => {
      this.ws = ws
      if (this.destroyed) return ws.terminate()
      ws.on('message', data => this.accept(data as Buffer))
      ws.on('close', () => this.over())
      ws.on('error', () => this.over())
      ws.resume()
      done()
      this.emit('connect')
    }, done)
  }

  private accept(message: Buffer): void {
    if (message.length === 0) return
    const channel = message[0]!
    let bytes = message.subarray(1)
    if (!this.greeted.has(channel)) {
      this.greeted.add(channel)
      bytes = bytes.subarray(2)
    }
    if (bytes.length === 0) return
    if (channel !== dataChannel) {
      this.trouble = (this.trouble + bytes.toString()).slice(0, 1_000)
      this.over()
    } else if (!this.push(bytes)) this.ws?.pause()
  }

  private over(): void {
    if (this.destroyed) return
    if (this.trouble) this.destroy(new DialError(502, 'target_refused', forPeople(this.trouble)))
    else this.push(null)
  }

  override _read(): void {
    this.ws?.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const framed = Buffer.allocUnsafe(chunk.length + 1)
    framed[0] = dataChannel
    chunk.copy(framed, 1)
    this.ws!.send(framed, { binary: true, compress: false }, done)
  }

  override _final(done: () => void): void {
    // There is no half-close here: the end of our side is the end.
    this.ws?.close(1000)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.life.abort(error ?? new Error('closed'))
    this.ws?.resume()
    this.ws?.terminate()
    done(error)
  }
}

function forPeople(words: string): string {
  if (/connection refused/i.test(words)) return 'nothing answers on that port of the pod'
  return `the pod refused the connection: ${words.replace(/\s+/g, ' ').trim().slice(0, 300)}`
}

export function forwardTo(client: KubeClient, namespace: string, pod: string, port: number): ForwardedSocket {
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/portforward?ports=${port}`
  return new ForwardedSocket(signal => client.upgrade(path, 'v4.channel.k8s.io', signal))
}
