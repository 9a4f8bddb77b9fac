/** A button with a list of actions: arrows move, Home and End jump, Escape closes and gives focus back. */
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react'
import { IconButton } from './button.tsx'
import { Icon, type IconName } from './icons.tsx'

export interface MenuItem {
  label: string
  icon?: IconName
  danger?: boolean
  checked?: boolean
  /** Only where the navigation has no room for it. */
  phoneOnly?: boolean
  onPick: () => void
}

interface MenuProps {
  label: string
  icon?: IconName
  items: readonly MenuItem[]
  align?: 'start' | 'end'
  up?: boolean
}

export function Menu({ label, icon = 'more', items, align = 'end', up = false }: MenuProps) {
  const [open, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const id = useId()

  useEffect(() => {
    if (!open) return
    entriesOf(root.current)[0]?.focus()
    const away = (event: Event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false)
    }
    document.addEventListener('pointerdown', away, true)
    document.addEventListener('focusin', away)
    return () => {
      document.removeEventListener('pointerdown', away, true)
      document.removeEventListener('focusin', away)
    }
  }, [open])

  function onKey(event: KeyboardEvent) {
    const entries = entriesOf(root.current)
    const at = entries.indexOf(document.activeElement as HTMLElement)
    const move: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }
    if (event.key === 'Escape') {
      event.stopPropagation()
      setOpen(false)
      button.current?.focus()
    } else if (event.key in move) {
      event.preventDefault()
      entries.at((move[event.key] ?? 0) % entries.length)?.focus()
    }
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: hears the keys of the items inside
    <div className="menu" ref={root} onKeyDown={open ? onKey : undefined}>
      <IconButton
        ref={button}
        label={label}
        icon={icon}
        tip={open ? 'none' : 'below'}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      />
      {open && (
        <div className="menu-list" id={id} role="menu" aria-label={label} data-align={align} data-up={up || undefined}>
          {items.map(item => (
            <button
              key={item.label}
              type="button"
              {...(item.checked === undefined ? { role: 'menuitem' } : { role: 'menuitemradio', 'aria-checked': item.checked })}
              tabIndex={-1}
              data-danger={item.danger || undefined}
              data-phone={item.phoneOnly || undefined}
              onClick={() => {
                setOpen(false)
                button.current?.focus()
                item.onPick()
              }}
            >
              {item.checked === undefined ? (
                item.icon && <Icon name={item.icon} size={16} />
              ) : (
                <span className="menu-check">{item.checked && <Icon name="check" size={14} />}</span>
              )}
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  )
}

function entriesOf(root: HTMLElement | null): HTMLElement[] {
  return [...(root?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])].filter(entry => entry.offsetParent !== null)
}
