/** A job's output: live, in its colours, searched, paused, saved. Drawn in blocks, and those out of sight not at all. */
import { memo, type RefObject, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import type { JobWithAttempts } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { Button, IconButton } from '../../parts/button.tsx'
import { Switch } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { saveFile } from '../../parts/save-file.ts'
import { Notice } from '../../parts/states.tsx'
import type { Look } from './ansi.ts'
import { jobWord } from './job-words.ts'
import { type Found, LiveChoice, type LiveSource, liveOpening, mayReadLive, nothingFound } from './live-choice.tsx'
import { type FeedState, feedLog } from './log-feed.ts'
import {
  appendPieces,
  closeLog,
  emptyLog,
  findLines,
  type LogBlock,
  type LogLine,
  type LogPiece,
  type LogText,
} from './log-lines.ts'

const stateWords = { opening: 'Opening…', following: 'Following', ended: 'End of the log', waiting: 'Reconnecting…', failed: '' }

export function JobLog({ job, attempt }: { job: JobWithAttempts; attempt: number }) {
  const { api, toasts } = useApp()
  const [paused, setPaused] = useState(false)
  // null: what was kept.
  const [live, setLive] = useState<LiveSource | null>(null)
  const feed = useFeed(job.id, attempt, paused, live)
  const [query, setQuery] = useState('')
  const [at, setAt] = useState(0)
  const [wrap, setWrap] = useState(true)
  const [follow, setFollow] = useState(true)
  const [saving, setSaving] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const { log, state } = feed
  const hits = useMemo(() => findLines(log, query), [log, query])
  const current = hits.length > 0 ? (hits[Math.min(at, hits.length - 1)] ?? null) : null
  const streams = useMemo(() => Object.keys(log.open), [log.open])

  useLayoutEffect(() => {
    if (follow && !query && box.current && log) box.current.scrollTop = box.current.scrollHeight
  }, [log, follow, query])

  useEffect(() => {
    if (current !== null) box.current?.querySelector(`[data-line="${current}"]`)?.scrollIntoView({ block: 'center' })
  }, [current])

  const step = (by: number) => hits.length > 0 && setAt(index => (index + by + hits.length) % hits.length)
  async function save() {
    setSaving(true)
    try {
      const { signal } = new AbortController()
      const blob = live
        ? await (await api.liveOutput(job.id, { ...live, tail: 100_000, follow: false }, signal)).blob()
        : await api.jobLog(job.id, attempt, signal)
      saveFile(blob, `${job.id}-${live?.stream?.replace('/', '-') ?? attempt}.log`)
    } catch (error) {
      toasts.failed('Not saved', error)
    }
    setSaving(false)
  }
  const nothing = log.count === 0 && !Object.values(log.open).some(open => open.text)

  return (
    <section className="job-log" aria-label="Log">
      <div className="job-log-tools">
        <search className="search">
          <Icon name="search" size={16} />
          <input
            aria-label="Search the log"
            placeholder="Search"
            value={query}
            spellCheck={false}
            onChange={event => {
              setQuery(event.currentTarget.value)
              setAt(0)
            }}
            onKeyDown={event => {
              if (event.key === 'Enter') step(event.shiftKey ? -1 : 1)
              if (event.key === 'Escape') setQuery('')
            }}
          />
        </search>
        {query && (
          <span className="job-log-hits" role="status">
            {hits.length === 0 ? 'none' : `${Math.min(at, hits.length - 1) + 1} of ${hits.length}`}
            <IconButton label="Match before" icon="back" tip="none" disabled={hits.length === 0} onClick={() => step(-1)} />
            <IconButton label="Next match" icon="next" tip="none" disabled={hits.length === 0} onClick={() => step(1)} />
          </span>
        )}
        {mayReadLive(job) && <LiveChoice live={live} found={feed.found} onChoose={setLive} />}
        <span className="filters-rest" />
        <span className="faint job-log-state" role="status">
          {paused ? 'Paused' : stateWords[state.word]}
        </span>
        <Switch label="Wrap" on={wrap} onSwitch={setWrap} />
        {(live !== null || jobWord(job).live) && (
          <Button size="small" icon={paused ? 'start' : 'pause'} aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? `Go on${feed.held > 0 ? ` (${feed.held} new)` : ''}` : 'Pause'}
          </Button>
        )}
        <Button size="small" icon="download" busy={saving} onClick={() => void save()}>
          Save
        </Button>
      </div>
      {state.word === 'failed' && <Notice tone="warn">{state.why}</Notice>}
      <div className="job-log-frame">
        <div
          className="job-log-text"
          ref={box}
          role="log"
          aria-live="off"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
          tabIndex={0}
          data-wrap={wrap || undefined}
          onScroll={event => {
            const frame = event.currentTarget
            setFollow(frame.scrollHeight - frame.scrollTop - frame.clientHeight < 24)
          }}
        >
          {log.dropped > 0 && (
            <p className="job-log-note">{log.dropped} older lines are not shown: save the log to have them all.</p>
          )}
          {log.blocks.map(block => (
            <Block key={block.id} block={block} query={query} current={currentIn(block, current)} named={streams.length > 1} />
          ))}
          {Object.entries(log.open).map(
            ([stream, open]) =>
              open.text && <Unfinished key={stream} text={open.text} stream={streams.length > 1 ? stream : ''} />,
          )}
          {nothing && (
            <p className="job-log-note">
              {state.word === 'ended'
                ? 'Nothing was written.'
                : job.status === 'queued'
                  ? 'It waits for its turn.'
                  : 'Nothing yet.'}
            </p>
          )}
        </div>
        {!follow && !query && <ToEnd box={box} onFollow={() => setFollow(true)} />}
      </div>
    </section>
  )
}

function ToEnd({ box, onFollow }: { box: RefObject<HTMLDivElement | null>; onFollow: () => void }) {
  return (
    <Button
      size="small"
      className="logs-down"
      icon="down"
      onClick={() => {
        onFollow()
        if (box.current) box.current.scrollTop = box.current.scrollHeight
      }}
    >
      To the end
    </Button>
  )
}

const currentIn = (block: LogBlock, current: number | null) =>
  current !== null && block.lines.some(line => line.number === current) ? current : null

const Block = memo(function Block(props: { block: LogBlock; query: string; current: number | null; named: boolean }) {
  const { block, query, current, named } = props
  return (
    <div className="log-block">
      {block.lines.map(line => (
        <Line key={line.number} line={line} query={query} current={line.number === current} named={named} />
      ))}
    </div>
  )
})

function Line({ line, query, current, named }: { line: LogLine; query: string; current: boolean; named: boolean }) {
  const hit = query !== '' && line.plain.toLowerCase().includes(query.toLowerCase())
  return (
    <div
      className="log-line"
      data-line={line.number}
      data-gap={line.gap || undefined}
      data-hit={hit || undefined}
      data-current={current || undefined}
    >
      {named && line.stream && <span className="log-stream">{line.stream}</span>}
      {line.spans.map((span, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: spans of a line never change
        <span key={index} {...lookOf(span.look)}>
          {hit ? marked(span.text, query) : span.text}
        </span>
      ))}
      {'\n'}
    </div>
  )
}

function Unfinished({ text, stream }: { text: string; stream: string }) {
  const plain = text.replace(/\x1b\[[0-9;:]*m/g, '')
  return (
    <div className="log-line">
      {stream && <span className="log-stream">{stream}</span>}
      {plain}
    </div>
  )
}

function marked(text: string, query: string) {
  const parts: (string | { hit: string; at: number })[] = []
  const low = text.toLowerCase()
  const wanted = query.toLowerCase()
  let from = 0
  for (let found = low.indexOf(wanted); found !== -1; found = low.indexOf(wanted, from)) {
    parts.push(text.slice(from, found), { hit: text.slice(found, found + wanted.length), at: found })
    from = found + wanted.length
  }
  parts.push(text.slice(from))
  return parts.map(part => (typeof part === 'string' ? part : <mark key={part.at}>{part.hit}</mark>))
}

function lookOf(look: Look) {
  const style = {
    ...(look.ink?.startsWith('#') ? { color: look.ink } : {}),
    ...(look.paper?.startsWith('#') ? { background: look.paper } : {}),
  }
  return {
    ...(look.ink && !style.color ? { 'data-ink': look.ink } : {}),
    ...(look.paper && !style.background ? { 'data-paper': look.paper } : {}),
    ...(look.bold ? { 'data-bold': '' } : {}),
    ...(look.faint ? { 'data-faint': '' } : {}),
    ...(look.under ? { 'data-under': '' } : {}),
    ...(style.color || style.background ? { style } : {}),
  }
}

const mostHeld = 20_000

/** Pieces come faster than frames: they are gathered and drawn once per frame, or when the pause is over. */
interface Feed {
  log: LogText
  state: FeedState
  held: number
  found: Found
}

function useFeed(id: string, attempt: number, paused: boolean, live: LiveSource | null): Feed {
  const { api } = useApp()
  const [found, setFound] = useState<Found>(nothingFound)
  const [log, setLog] = useState<LogText>(emptyLog)
  const [state, setState] = useState<FeedState>({ word: 'opening' })
  const [held, setHeld] = useState(0)
  const waiting = useRef<LogPiece[]>([])
  const isPaused = useRef(paused)
  const draw = useRef(() => {})
  isPaused.current = paused

  useEffect(() => {
    const stop = new AbortController()
    let frame = 0
    waiting.current = []
    setLog(emptyLog)
    setHeld(0)
    draw.current = () => {
      frame = 0
      if (isPaused.current) {
        // What is too much to hold is dropped from the front, as the log itself does.
        if (waiting.current.length > mostHeld) waiting.current = waiting.current.slice(-mostHeld)
        return setHeld(waiting.current.length)
      }
      const pieces = waiting.current
      waiting.current = []
      setHeld(0)
      setLog(current => appendPieces(current, pieces))
    }
    const plan = () => {
      frame ||= requestAnimationFrame(draw.current)
    }
    void feedLog({
      open: live
        ? liveOpening((wish, signal) => api.liveOutput(id, { ...live, ...wish }, signal), setFound)
        : (lastEventId, signal) => api.followJobLog(id, attempt, lastEventId, signal),
      onPieces(pieces) {
        for (const piece of pieces) waiting.current.push(piece)
        plan()
      },
      onState(next) {
        setState(next)
        if (next.word === 'ended') {
          draw.current()
          if (!isPaused.current) setLog(closeLog)
        }
      },
      signal: stop.signal,
    })
    return () => {
      stop.abort()
      cancelAnimationFrame(frame)
    }
  }, [api, id, attempt, live])

  useEffect(() => {
    if (!paused) draw.current()
  }, [paused])
  return { log, state, held, found }
}
