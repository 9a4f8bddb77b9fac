/** Who did what, when, from where: filters, pages, and the whole selection as a file. */
import '../../styles/audit.css'
import { useEffect, useRef, useState } from 'react'
import type { AuditRecord } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { fullDate } from '../../format/time.ts'
import { Button } from '../../parts/button.tsx'
import { Icon } from '../../parts/icons.tsx'
import { LoadMore } from '../../parts/load-more.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { saveFile } from '../../parts/save-file.ts'
import { EmptyState, FailedState, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link, useSearch } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { actorKind, factsOf, families, filterOf, outcomeWord, spans, targetPage } from './audit-words.ts'

const filterNames = ['action', 'actor', 'target', 'outcome', 'span', 'project'] as const

export function AuditPage() {
  const { api, clock, toasts } = useApp()
  const search = useSearch()
  const [exporting, setExporting] = useState(false)
  const leaving = useRef(new AbortController())
  const chosen = filterNames.map(name => search.get(name)).join('\n')
  const filtered = chosen.trim() !== ''
  const records = usePages(chosen, (cursor, signal) => api.audit(filterOf(search.get, clock.now()), cursor, signal))
  useEffect(() => {
    const controller = new AbortController()
    leaving.current = controller
    return () => controller.abort()
  }, [])

  async function download(format: 'csv' | 'ndjson') {
    const { signal } = leaving.current
    setExporting(true)
    try {
      saveFile(await api.exportAudit(filterOf(search.get, clock.now()), format, signal), `audit.${format}`)
    } catch (error) {
      if (!signal.aborted) toasts.failed('Not exported', error)
    }
    setExporting(false)
  }
  const clear = () => search.set(Object.fromEntries(filterNames.map(name => [name, ''])))

  return (
    <>
      <PageHead title="Audit" summary="Every change and every stream, newest first.">
        <Button icon="restart" onClick={records.reload}>
          Refresh
        </Button>
        {exporting ? (
          <Button busy>Exporting</Button>
        ) : (
          <Menu
            label="Export what is chosen"
            icon="download"
            items={[
              { label: 'As CSV, for spreadsheets', onPick: () => void download('csv') },
              { label: 'As NDJSON, for programs', onPick: () => void download('ndjson') },
            ]}
          />
        )}
      </PageHead>
      <search className="filters">
        <Choice name="action" label="What" options={families.map(one => [one.key, one.label])} />
        <Choice name="span" label="When" options={spans.map(one => [one.key, one.label])} />
        <Choice
          name="outcome"
          label="Outcome"
          options={[
            ['', 'Any outcome'],
            ['ok', 'Done'],
            ['refused', 'Refused'],
            ['failed', 'Failed'],
          ]}
        />
        <Typed name="actor" label="Who" placeholder="User" />
        <Typed name="target" label="To what" placeholder="Id, as ses_…" />
        {filtered && (
          <button type="button" className="link-button" onClick={clear}>
            Clear
          </button>
        )}
      </search>
      {records.phase === 'failed' && records.error ? (
        <FailedState error={records.error} onRetry={records.reload} />
      ) : records.phase === 'ready' && records.items.length === 0 ? (
        <EmptyState
          weather={filtered ? 'fog' : 'calm'}
          title={filtered ? 'Nothing matches' : 'Nothing was recorded yet'}
          action={filtered && <Button onClick={clear}>Clear the filters</Button>}
        >
          {filtered ? 'No record fits all of the filters.' : 'Changes and streams appear here as they happen.'}
        </EmptyState>
      ) : (
        <div className="table-frame">
          <table className="table audit" aria-busy={records.phase === 'loading'}>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Who</th>
                <th scope="col">Did</th>
                <th scope="col">To</th>
                <th scope="col">Outcome</th>
                <th scope="col">From</th>
              </tr>
            </thead>
            <tbody>
              {records.phase === 'loading' &&
                records.items.length === 0 &&
                ['a', 'b', 'c', 'd'].map(key => (
                  <tr key={key}>
                    <td colSpan={6}>
                      <Skeleton height="20px" />
                    </td>
                  </tr>
                ))}
              {records.items.map(record => (
                <Record key={record.id} record={record} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <LoadMore pages={records} />
    </>
  )
}

function Record({ record }: { record: AuditRecord }) {
  const [open, setOpen] = useState(false)
  const outcome = outcomeWord(record.outcome)
  const page = targetPage(record.target)
  const kind = actorKind(record)
  return (
    <>
      <tr data-open={open || undefined}>
        <td className="audit-when">
          <button type="button" className="audit-open" aria-expanded={open} onClick={() => setOpen(!open)}>
            <Icon name="next" size={14} />
            <Ago at={record.created_at} />
          </button>
        </td>
        <td data-label="Who">
          <span>
            {safeLine(record.actor.id)}
            {kind && <span className="faint"> {kind}</span>}
          </span>
        </td>
        <td data-label="Did">
          <code>{safeLine(record.action)}</code>
        </td>
        <td data-label="To" className="audit-target">
          {page ? (
            <Link to={page} className="mono">
              {record.target}
            </Link>
          ) : (
            <span className="mono">{safeLine(record.target)}</span>
          )}
        </td>
        <td data-label="Outcome">
          <StatusBadge word={outcome.word} tone={outcome.tone} />
        </td>
        <td data-label="From" className="mono faint">
          {record.address ?? '–'}
        </td>
      </tr>
      {open && (
        <tr className="audit-facts">
          <td colSpan={6}>
            <dl className="facts">
              <div>
                <dt>time</dt>
                <dd>{fullDate(record.created_at)}</dd>
              </div>
              {factsOf(record).map(([name, text]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd className="mono">{text}</dd>
                </div>
              ))}
            </dl>
          </td>
        </tr>
      )}
    </>
  )
}

function Choice({ name, label, options }: { name: string; label: string; options: readonly (readonly [string, string])[] }) {
  const search = useSearch()
  return (
    <select
      className="select"
      aria-label={label}
      value={search.get(name)}
      onChange={event => search.set({ [name]: event.currentTarget.value })}
    >
      {options.map(([key, words]) => (
        <option key={key} value={key}>
          {words}
        </option>
      ))}
    </select>
  )
}

/** Taken over when the person is done, not with every letter: each change is a query. */
function Typed({ name, label, placeholder }: { name: string; label: string; placeholder: string }) {
  const search = useSearch()
  const value = search.get(name)
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  return (
    <form
      onSubmit={event => {
        event.preventDefault()
        search.set({ [name]: text.trim() })
      }}
    >
      <input
        className="input"
        aria-label={label}
        placeholder={placeholder}
        value={text}
        maxLength={64}
        spellCheck={false}
        autoCapitalize="off"
        onChange={event => setText(event.currentTarget.value)}
        onBlur={() => search.set({ [name]: text.trim() })}
      />
    </form>
  )
}
