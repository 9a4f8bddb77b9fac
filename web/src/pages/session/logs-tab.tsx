/** What the session's programs write, followed live, as plain text. */
import { useEffect, useLayoutEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { appendLines, emptyLines, type LineBuffer, safeText } from '../../format/safe-text.ts'
import { streamOf } from '../../live/event-stream.ts'
import { Button } from '../../parts/button.tsx'
import { Switch } from '../../parts/form.tsx'
import { saveFile } from '../../parts/save-file.ts'
import { Notice } from '../../parts/states.tsx'

const kept = 3_000

type Phase = { word: 'opening' | 'following' | 'ended' } | { word: 'failed'; why: string }

export function LogsTab({ session }: { session: Session }) {
  const { api } = useApp()
  const containers = session.pod?.containers.map(container => container.name) ?? []
  const [container, setContainer] = useState('')
  const [buffer, setBuffer] = useState<LineBuffer>(emptyLines)
  const [phase, setPhase] = useState<Phase>({ word: 'opening' })
  const [wrap, setWrap] = useState(false)
  const [follow, setFollow] = useState(true)
  const [again, setAgain] = useState(0)
  const box = useRef<HTMLPreElement>(null)
  const live = session.status === 'running' || session.status === 'starting'

  // biome-ignore lint/correctness/useExhaustiveDependencies: `again`, a new generation and a new life mean: open anew
  useEffect(() => {
    const stop = new AbortController()
    // Chunks come faster than frames: they are gathered and drawn once per frame.
    let gathered = ''
    let frame = 0
    setBuffer(emptyLines)
    setPhase({ word: 'opening' })
    async function read() {
      const query = { tail_lines: 400, follow: live, ...(container ? { container } : {}) }
      const response = await api.logs(session.id, query, stop.signal)
      setPhase({ word: live ? 'following' : 'ended' })
      const decoder = new TextDecoder()
      if (!response.body) return
      for await (const chunk of streamOf(response.body, stop.signal)) {
        gathered += decoder.decode(chunk, { stream: true })
        frame ||= requestAnimationFrame(draw)
      }
      if (!stop.signal.aborted) setPhase({ word: 'ended' })
    }
    function draw() {
      frame = 0
      const piece = gathered
      gathered = ''
      setBuffer(current => appendLines(current, piece, kept))
    }
    read().catch(error => {
      if (!stop.signal.aborted) setPhase({ word: 'failed', why: messageOf(error) })
    })
    return () => {
      stop.abort()
      cancelAnimationFrame(frame)
    }
  }, [session.id, session.generation, live, container, again, api])

  useLayoutEffect(() => {
    if (follow && box.current && buffer) box.current.scrollTop = box.current.scrollHeight
  }, [buffer, follow])

  const text = [...buffer.lines, ...(buffer.partial ? [safeText(buffer.partial)] : [])].join('\n')
  return (
    <div className="logs">
      <div className="logs-tools">
        <span className="faint" role="status">
          {phase.word === 'opening'
            ? 'Opening…'
            : phase.word === 'following'
              ? 'Following'
              : phase.word === 'ended'
                ? 'End of the log'
                : ''}
        </span>
        {containers.length > 1 && (
          <select
            className="select"
            aria-label="Container"
            value={container}
            onChange={event => setContainer(event.currentTarget.value)}
          >
            <option value="">Main container</option>
            {containers.map(name => (
              <option key={name}>{name}</option>
            ))}
          </select>
        )}
        <span className="filters-rest" />
        <Switch label="Wrap" on={wrap} onSwitch={setWrap} />
        <Button
          size="small"
          icon="download"
          disabled={!text}
          onClick={() => saveFile(new Blob([`${text}\n`], { type: 'text/plain' }), `${session.id}.log`)}
        >
          Save
        </Button>
      </div>
      {phase.word === 'failed' && (
        <Notice tone="warn">
          {phase.why}{' '}
          <button type="button" className="link-button" onClick={() => setAgain(count => count + 1)}>
            Try again
          </button>
        </Notice>
      )}
      <section className="logs-frame" aria-label="Log">
        <pre
          ref={box}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
          tabIndex={0}
          data-wrap={wrap || undefined}
          onScroll={event => {
            const at = event.currentTarget
            setFollow(at.scrollHeight - at.scrollTop - at.clientHeight < 24)
          }}
        >
          {buffer.dropped > 0 && <span className="faint">{`… ${buffer.dropped} older lines are not shown\n`}</span>}
          {text || (phase.word === 'ended' ? 'Nothing was written.' : '')}
        </pre>
        {!follow && (
          <Button size="small" className="logs-down" icon="down" onClick={() => setFollow(true)}>
            To the end
          </Button>
        )}
      </section>
    </div>
  )
}
