import type { ButtonHTMLAttributes, ReactNode, Ref } from 'react'
import { Icon, type IconName } from './icons.tsx'

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: 'primary' | 'plain' | 'ghost' | 'danger'
  size?: 'small' | 'normal'
  icon?: IconName
  /** Shows that the press is being worked on and takes no other. */
  busy?: boolean
  children?: ReactNode
  ref?: Ref<HTMLButtonElement>
}

export function Button({ kind = 'plain', size = 'normal', icon, busy = false, children, className = '', ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${className}`}
      data-kind={kind}
      data-size={size}
      aria-busy={busy || undefined}
      disabled={rest.disabled || busy}
    >
      {busy ? <span className="spinner" aria-hidden="true" /> : icon && <Icon name={icon} size={size === 'small' ? 16 : 18} />}
      {children}
    </button>
  )
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  label: string
  icon: IconName
  /** Where the tip appears. */
  tip?: 'above' | 'below' | 'none'
  ref?: Ref<HTMLButtonElement>
}

export function IconButton({ label, icon, tip = 'below', className = '', ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`icon-button ${className}`}
      aria-label={label}
      data-tip={tip === 'none' ? undefined : label}
      data-tip-at={tip}
    >
      <Icon name={icon} />
    </button>
  )
}
