//! The reference page, made from the table of keys. The example `reference` writes it to `docs/settings.md`; a test refuses a stale one.

use crate::sections::Settings;
use std::fmt::Write;

const HEAD: &str = "\
# Settings

<!-- Made from crates/settings/src/sections.rs: change it there, then
     cargo run -p barewire-settings --example reference > docs/settings.md -->

One TOML file. It need not exist: every key has a default.

| system | place |
|---|---|
| Linux | `$XDG_CONFIG_HOME/barewire/barewire.toml`, usually `~/.config/barewire/barewire.toml` |
| Windows | `%APPDATA%\\Barewire\\barewire.toml` |

`--settings FILE` or the variable `BAREWIRE_SETTINGS` names another file. Later lines win over earlier ones:

1. the defaults below,
2. the file,
3. the profile that `--profile NAME` or `BAREWIRE_PROFILE` names: sections `[profile.NAME.output]` and so on with the same keys,
4. the variable `BAREWIRE_SET`: lines `output.device = \"none\"`,
5. the command line: `--set output.device=none`.

`barewire settings` prints what is in force and where each value comes from. An unknown key or an impossible value is
an error with line, column and the nearest right key. If the file is broken the last good settings hold; what is wrong
is reported. A change while the driver runs takes effect at once, or by one reset request to the host.

```toml
[driver]
backend = \"alsa\"

[output]
device = { pattern = \"babyface\" }

[profile.night.output]
gain = 0.25
```
";

/// The reference page in Markdown.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    let keys = Settings::keys();
    for (section, about) in Settings::sections() {
        // Writing to a text cannot fail.
        let _ = write!(page, "\n## `[{section}]`\n\n{about}\n\n");
        page.push_str(
            "| key | what may stand there | default | what it means |\n|---|---|---|---|\n",
        );
        for spec in &keys {
            let Some((name, key)) = spec.key.split_once('.') else { continue };
            if name == section {
                let (allowed, default, doc) = (&spec.allowed, &spec.default, &spec.doc);
                let line = format!("`{key}` ¦ {allowed} ¦ `{default}` ¦ {doc}");
                let _ = writeln!(page, "| {} |", line.replace('|', "\\|").replace('¦', "|"));
            }
        }
    }
    page
}
