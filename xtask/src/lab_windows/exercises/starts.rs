//! What is shipped starts on a plain Wine 8, without any file of ours beside it: nothing that not every Windows has is
//! imported at load time.

use crate::lab_windows::lab::Lab;
use anyhow::{Context, Result, bail};
use object::read::pe::{ImageNtHeaders, PeFile};
use std::path::Path;
use std::time::Duration;

/// A quiet machine needs a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a library may have at most.
const MOST_BYTES: u64 = 2 << 20;
/// What std imports and Wine 8 has not.
const LACKING: &str = "bcryptprimitives.dll";

pub(super) fn run(lab: &Lab) -> Result<String> {
    let [library, command] = lab.shipped(lab.bits);
    let bytes = std::fs::metadata(&library)?.len();
    if bytes > MOST_BYTES {
        bail!("{} has {bytes} bytes, more than {MOST_BYTES}", library.display());
    }
    let mut counts = Vec::new();
    for file in [&library, &command] {
        let names = imports(file).with_context(|| file.display().to_string())?;
        counts.push(names.len());
    }
    let exported = exports(&library)?;
    for name in ["DllCanUnloadNow", "DllGetClassObject", "DllRegisterServer", "DllUnregisterServer"]
    {
        if !exported.iter().any(|own| own == name) {
            bail!("{name} is not exported, but {exported:?}");
        }
    }
    let said = lab.run_well(&command, &["devices"], &[], PATIENCE)?;
    if !said.contains("virtual:") {
        bail!("`barewire devices` does not list the virtual device:\n{said}");
    }
    Ok(format!(
        "{bytes} bytes, {} and {} imports, {} exports",
        counts[0],
        counts[1],
        exported.len()
    ))
}

/// Everything that a file imports at load time, as `library!function`.
fn imports(file: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(file)?;
    let names = match object::FileKind::parse(&*bytes)? {
        object::FileKind::Pe64 => imports_of::<object::pe::ImageNtHeaders64>(&bytes)?,
        _ => imports_of::<object::pe::ImageNtHeaders32>(&bytes)?,
    };
    for name in &names {
        if name.to_lowercase().starts_with(LACKING) {
            bail!("{name} is imported");
        }
        // 32-bit Windows exports its functions without the decoration that compilers give them.
        if name.contains('@') {
            bail!("{name} is imported, a name that no library of Windows has");
        }
    }
    Ok(names)
}

fn imports_of<Headers: ImageNtHeaders>(bytes: &[u8]) -> Result<Vec<String>> {
    let file = PeFile::<Headers>::parse(bytes)?;
    let mut names = Vec::new();
    let Some(table) = file.import_table()? else { return Ok(names) };
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let library =
            String::from_utf8_lossy(table.name(descriptor.name.get(object::LittleEndian))?);
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(object::LittleEndian))?;
        while let Some(thunk) = thunks.next::<Headers>()? {
            if let object::read::pe::Import::Name(_, name) = table.import::<Headers>(thunk)? {
                names.push(format!("{library}!{}", String::from_utf8_lossy(name)));
            }
        }
    }
    Ok(names)
}

fn exports(file: &Path) -> Result<Vec<String>> {
    use object::Object as _;
    let bytes = std::fs::read(file)?;
    let parsed = object::File::parse(&*bytes)?;
    let names = parsed.exports()?;
    Ok(names.iter().map(|export| String::from_utf8_lossy(export.name()).into_owned()).collect())
}
