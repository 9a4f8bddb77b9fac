/** How the light desktop looks: settings files of openbox, tint2, pcmanfm and xterm, made at each start. */

export interface Entry {
  id: string
  label: string
  command: string
  icon: string
}

const background = '#20394b'

/** Programs worth a place in menu and panel, if they are there. */
export function desktopEntries(find: (names: string[]) => string | null, sandboxedBrowser: boolean): Entry[] {
  const browserFlags = `--no-first-run --password-store=basic${sandboxedBrowser ? '' : ' --no-sandbox --test-type'}`
  const known = [
    { id: 'terminal', label: 'Terminal', program: 'xterm', args: '', icon: 'utilities-terminal' },
    { id: 'files', label: 'Files', program: 'pcmanfm', args: '', icon: 'system-file-manager' },
    { id: 'browser', label: 'Browser', program: 'chromium', args: browserFlags, icon: 'web-browser' },
    { id: 'editor', label: 'Text editor', program: 'mousepad', args: '', icon: 'accessories-text-editor' },
  ]
  return known
    .filter(entry => find([entry.program]))
    .map(({ id, label, program, args, icon }) => ({ id, label, icon, command: `${program} ${args}`.trim() }))
}

export function openboxSettings(menu: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <focus><focusNew>yes</focusNew><raiseOnFocus>no</raiseOnFocus></focus>
  <placement><policy>Smart</policy></placement>
  <theme>
    <name>Clearlooks</name><titleLayout>NLIMC</titleLayout><cornerRadius>4</cornerRadius>
    ${['ActiveWindow', 'InactiveWindow', 'MenuHeader', 'MenuItem']
      .map(place => `<font place="${place}"><name>DejaVu Sans</name><size>9</size></font>`)
      .join('')}
  </theme>
  <desktops><number>1</number><popupTime>0</popupTime></desktops>
  <menu><file>${menu}</file></menu>
  <keyboard>
    <keybind key="A-F4"><action name="Close"/></keybind>
    <keybind key="A-Tab"><action name="NextWindow"/></keybind>
    <keybind key="C-A-t"><action name="Execute"><command>xterm</command></action></keybind>
  </keyboard>
  <mouse>
    <context name="Frame">
      <mousebind button="A-Left" action="Drag"><action name="Move"/></mousebind>
      <mousebind button="A-Right" action="Drag"><action name="Resize"/></mousebind>
    </context>
    <context name="Titlebar">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Left" action="Drag"><action name="Move"/></mousebind>
      <mousebind button="Left" action="DoubleClick"><action name="ToggleMaximize"/></mousebind>
    </context>
    ${['Top', 'Bottom', 'Left', 'Right', 'TLCorner', 'TRCorner', 'BLCorner', 'BRCorner']
      .map(edge => `<context name="${edge}"><mousebind button="Left" action="Drag"><action name="Resize"/></mousebind></context>`)
      .join('\n    ')}
    <context name="Client">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Right" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
    </context>
    <context name="Close"><mousebind button="Left" action="Click"><action name="Close"/></mousebind></context>
    <context name="Maximize"><mousebind button="Left" action="Click"><action name="ToggleMaximize"/></mousebind></context>
    <context name="Iconify"><mousebind button="Left" action="Click"><action name="Iconify"/></mousebind></context>
    <context name="Root">
      <mousebind button="Right" action="Press"><action name="ShowMenu"><menu>root-menu</menu></action></mousebind>
    </context>
  </mouse>
  <applications>
    <application type="desktop"><layer>below</layer><focus>no</focus></application>
  </applications>
</openbox_config>
`
}

export function desktopMenu(entries: Entry[]): string {
  const item = ({ label, command }: Entry) =>
    `    <item label="${label}"><action name="Execute"><command>${command}</command></action></item>`
  return `<?xml version="1.0" encoding="UTF-8"?>
<openbox_menu xmlns="http://openbox.org/3.4/menu">
  <menu id="root-menu" label="Programs">
${entries.map(item).join('\n')}
  </menu>
</openbox_menu>
`
}

/** The freedesktop file the panel starts an entry from. */
export function launcher({ label, command, icon }: Entry): string {
  return `[Desktop Entry]\nType=Application\nName=${label}\nExec=${command}\nIcon=${icon}\n`
}

export function panelSettings(launchers: string[]): string {
  return `rounded = 0
border_width = 0
background_color = #15212b 100
border_color = #000000 0
rounded = 3
border_width = 0
background_color = #ffffff 10
border_color = #ffffff 0
rounded = 3
border_width = 0
background_color = #4f9fd0 55
border_color = #ffffff 0
panel_items = LTC
panel_size = 100% 34
panel_margin = 0 0
panel_padding = 6 3 6
panel_background_id = 1
panel_position = bottom center horizontal
panel_layer = top
wm_menu = 1
font_shadow = 0
strut_policy = follow_size
launcher_padding = 4 2 6
launcher_background_id = 0
launcher_icon_size = 22
launcher_icon_theme = Adwaita
launcher_tooltip = 1
${launchers.map(file => `launcher_item_app = ${file}`).join('\n')}
taskbar_mode = single_desktop
taskbar_padding = 2 0 4
taskbar_name = 0
task_text = 1
task_icon = 1
task_maximum_size = 190 26
task_padding = 8 3 6
task_font = DejaVu Sans 9
task_font_color = #dfe7ec 100
task_background_id = 2
task_active_background_id = 3
mouse_left = toggle_iconify
time1_format = %H:%M
time1_font = DejaVu Sans 10
clock_font_color = #ffffff 100
clock_padding = 10 0
clock_background_id = 0
tooltip_font = DejaVu Sans 9
tooltip_padding = 6 4
tooltip_background_id = 1
tooltip_font_color = #ffffff 100
`
}

/** pcmanfm paints the background and shows the folder Desktop on it. */
export const filesSettings = `[*]
wallpaper_mode=color
desktop_bg=${background}
desktop_fg=#ffffff
desktop_shadow=#10202c
desktop_font=DejaVu Sans 10
show_wm_menu=1
show_documents=0
show_trash=0
show_mounts=0
`

export const terminalResources = `XTerm*faceName: DejaVu Sans Mono
XTerm*faceSize: 10
XTerm*background: #141c22
XTerm*foreground: #dde5ea
XTerm*cursorColor: #7fc1e8
XTerm*internalBorder: 8
XTerm*scrollBar: false
XTerm*saveLines: 5000
XTerm*selectToClipboard: true
XTerm*title: Terminal
`
