/** Labelled inputs, and choices that look like buttons but are radio inputs, so that the keyboard and readers know them. */
import { type InputHTMLAttributes, type ReactNode, useId } from 'react'
import { Icon, type IconName } from './icons.tsx'

interface FieldProps {
  label: string
  hint?: ReactNode
  error?: string | undefined
  optional?: boolean
  children: (ids: { id: string; describedBy: string | undefined; invalid: boolean }) => ReactNode
}

export function Field({ label, hint, error, optional = false, children }: FieldProps) {
  const id = useId()
  const note = error || hint ? `${id}-note` : undefined
  return (
    <div className="field" data-bad={error ? true : undefined}>
      <label htmlFor={id}>
        {label} {optional && <span className="field-optional">optional</span>}
      </label>
      {children({ id, describedBy: note, invalid: Boolean(error) })}
      {note && (
        <p className="field-note" id={note} role={error ? 'alert' : undefined}>
          {error ?? hint}
        </p>
      )}
    </div>
  )
}

interface TextFieldProps extends Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange' | 'value'> {
  label: string
  hint?: ReactNode
  error?: string | undefined
  optional?: boolean
  value: string
  onText: (text: string) => void
}

export function TextField({ label, hint, error, optional, value, onText, ...rest }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} {...(optional ? { optional } : {})}>
      {({ id, describedBy, invalid }) => (
        <input
          {...rest}
          id={id}
          className={`input ${rest.className ?? ''}`}
          value={value}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          onChange={event => onText(event.currentTarget.value)}
        />
      )}
    </Field>
  )
}

export interface Choice<K extends string> {
  key: K
  label: string
  icon?: IconName
  title?: string
}

interface SegmentedProps<K extends string> {
  label: string
  choices: readonly Choice<K>[]
  chosen: K
  onChoose: (key: K) => void
  iconsOnly?: boolean
}

export function Segmented<K extends string>({ label, choices, chosen, onChoose, iconsOnly = false }: SegmentedProps<K>) {
  const name = useId()
  return (
    <fieldset className="segmented" data-icons={iconsOnly || undefined}>
      <legend className="unseen">{label}</legend>
      {choices.map(choice => (
        <label key={choice.key} data-tip={iconsOnly ? (choice.title ?? choice.label) : choice.title}>
          <input
            type="radio"
            name={name}
            value={choice.key}
            checked={choice.key === chosen}
            onChange={() => onChoose(choice.key)}
          />
          <span>
            {choice.icon && <Icon name={choice.icon} size={16} />}
            <span className={iconsOnly ? 'unseen' : undefined}>{choice.label}</span>
          </span>
        </label>
      ))}
    </fieldset>
  )
}

export function Switch({
  label,
  hint,
  on,
  disabled = false,
  onSwitch,
}: {
  label: string
  hint?: string
  on: boolean
  disabled?: boolean
  onSwitch: (on: boolean) => void
}) {
  return (
    <label className="switch" data-off={disabled || undefined}>
      <input
        type="checkbox"
        role="switch"
        checked={on}
        disabled={disabled}
        aria-checked={on}
        onChange={event => onSwitch(event.currentTarget.checked)}
      />
      <span className="switch-track" aria-hidden="true" />
      <span>
        {label}
        {hint && <small>{hint}</small>}
      </span>
    </label>
  )
}
