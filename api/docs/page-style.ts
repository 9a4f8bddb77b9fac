/** How the reference looks: one column on a phone, two on a screen, dark where the reader prefers it. */
export const pageStyle = `
:root { color-scheme: light dark; --line: light-dark(#dfe3e8, #2b3138); --soft: light-dark(#f5f7f9, #171b20); --text: light-dark(#14181d, #e6e9ed);
  --dim: light-dark(#5b6670, #9aa5b1); --link: light-dark(#0b62c4, #7cb7ff) }
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.55 system-ui, sans-serif; color: var(--text); background: light-dark(#fff, #0f1216) }
a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
code { font: 0.9em ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: 0.1em 0.3em; overflow-wrap: anywhere }
nav { padding: 1rem; border-bottom: 1px solid var(--line); font-size: 13px; max-height: 40vh; overflow: auto }
nav h3 { margin: 1em 0 0.2em; font-size: 13px } nav ul { list-style: none; margin: 0; padding: 0 } nav li a { display: block; padding: 1px 0 }
main { padding: 1rem; max-width: 60rem; min-width: 0 }
h1 { font-size: 1.7rem } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line) } h4 { margin: 1rem 0 0.3rem; color: var(--dim); font-size: 13px }
article { margin: 1.5rem 0; padding: 0 1rem 1rem; border: 1px solid var(--line); border-radius: 8px } article:target { border-color: var(--link) }
article h3 { overflow-wrap: anywhere } small, .access { color: var(--dim) }
b.get, b.post, b.put, b.patch, b.delete { font: 600 0.75em ui-monospace, monospace; text-transform: uppercase }
b.get { color: light-dark(#0a6b3d, #62d39b) } b.post { color: light-dark(#0b62c4, #7cb7ff) } b.delete { color: light-dark(#b3261e, #ff8a80) }
b.put, b.patch { color: light-dark(#8a5a00, #f2c266) }
.rows { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: 13px } td { padding: 4px 8px; border-top: 1px solid var(--line);
  vertical-align: top } td:nth-child(2) { color: var(--dim) } abbr { color: light-dark(#b3261e, #ff8a80); text-decoration: none }
details { margin: 0.3rem 0 } summary { cursor: pointer }
@media (min-width: 60rem) { body { display: grid; grid-template-columns: 18rem 1fr } nav { position: sticky; top: 0; height: 100vh; max-height: none;
  border: 0; border-right: 1px solid var(--line) } main { padding: 1rem 3rem } }
`
