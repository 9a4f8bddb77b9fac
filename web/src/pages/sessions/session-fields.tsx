/** The fields of a new session that are more than one input. */
import type { Template } from '../../api/contract.ts'
import { duration } from '../../format/time.ts'
import { Field } from '../../parts/form.tsx'
import type { SessionDraft, Size, Span } from './session-draft.ts'

interface SizeFieldProps {
  draft: SessionDraft
  template: Template | undefined
  set: (changes: Partial<SessionDraft>) => void
  fault: string | undefined
}

export function SizeField({ draft, template, set, fault }: SizeFieldProps) {
  const usual = template?.display ? ` (${template.display.width} × ${template.display.height})` : ''
  return (
    <Field label="Screen" error={fault}>
      {({ id, describedBy }) => (
        <div className="joined">
          <select
            id={id}
            className="select"
            aria-describedby={describedBy}
            value={draft.size}
            onChange={event => set({ size: event.currentTarget.value as Size })}
          >
            <option value="template">As the template{usual}</option>
            <option value="1280x720">1280 × 720</option>
            <option value="1440x900">1440 × 900</option>
            <option value="1920x1080">1920 × 1080</option>
            <option value="390x844">Phone, 390 × 844</option>
            <option value="custom">Other…</option>
          </select>
          {draft.size === 'custom' && (
            <>
              <input
                className="input short"
                inputMode="numeric"
                aria-label="Width"
                value={draft.width}
                onChange={event => set({ width: event.currentTarget.value })}
              />
              <span aria-hidden="true">×</span>
              <input
                className="input short"
                inputMode="numeric"
                aria-label="Height"
                value={draft.height}
                onChange={event => set({ height: event.currentTarget.value })}
              />
            </>
          )}
        </div>
      )}
    </Field>
  )
}

interface SpanFieldProps {
  label: string
  span: Span
  minutes: string
  byTemplate: number | null | undefined
  fault: string | undefined
  onChange: (span: Span, minutes: string) => void
}

export function SpanField({ label, span, minutes, byTemplate, fault, onChange }: SpanFieldProps) {
  const usual = byTemplate ? ` (${duration(byTemplate * 1000)})` : ''
  return (
    <Field label={label} error={fault}>
      {({ id, describedBy }) => (
        <div className="joined">
          <select
            id={id}
            className="select"
            aria-describedby={describedBy}
            value={span}
            onChange={event => onChange(event.currentTarget.value as Span, minutes)}
          >
            <option value="template">As the template{usual}</option>
            <option value="900">15 minutes</option>
            <option value="3600">1 hour</option>
            <option value="14400">4 hours</option>
            <option value="28800">8 hours</option>
            <option value="86400">1 day</option>
            <option value="custom">Other…</option>
          </select>
          {span === 'custom' && (
            <>
              <input
                className="input short"
                inputMode="decimal"
                aria-label={`${label}, minutes`}
                value={minutes}
                onChange={event => onChange(span, event.currentTarget.value)}
              />
              <span>min</span>
            </>
          )}
        </div>
      )}
    </Field>
  )
}

interface ChoiceFieldProps {
  label: string
  value: string
  options: readonly (readonly [string, string, boolean?])[]
  fault?: string | undefined
  hint?: string
  onChange: (value: string) => void
}

/** A third entry of an option: not to be chosen now. */
export function ChoiceField({ label, value, options, fault, hint, onChange }: ChoiceFieldProps) {
  return (
    <Field label={label} error={fault} hint={hint}>
      {({ id, describedBy }) => (
        <select
          id={id}
          className="select"
          aria-describedby={describedBy}
          value={value}
          onChange={event => onChange(event.currentTarget.value)}
        >
          {options.map(([key, words, closed]) => (
            <option key={key} value={key} disabled={closed}>
              {words}
            </option>
          ))}
        </select>
      )}
    </Field>
  )
}
